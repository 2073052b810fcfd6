/**
 * Unmodified programs of node:http with NestJS, Apollo Server and http-proxy, and pages that are
 * written in parts: with the preload on ringloop, without it on Bun.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { messagesOf, NodeApp, postJson } from "./node-app.ts";
import { fixture } from "./process.ts";

let nest: NodeApp<"port">;
let services: NodeApp<"apolloPort" | "pagesPort" | "proxyPort">;

beforeAll(async () => {
  [nest, services] = await Promise.all([
    NodeApp.start<"port">("nest/app.ts", [`--tsconfig-override=${fixture("nest/tsconfig.json")}`]),
    NodeApp.start<"apolloPort" | "pagesPort" | "proxyPort">("node-services.ts"),
  ]);
});

afterAll(async () => {
  await nest[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

test("each program is served by the subject", () => {
  expect([nest.isServedBySubject, services.isServedBySubject]).toEqual([true, true]);
});

describe("a NestJS app", () => {
  const ask = async (path: string, init?: RequestInit): Promise<unknown[]> => {
    const response = await nest.fetch("port", path, init);
    return [response.status, await response.json()];
  };

  test("converts parameters by a pipe, and answers errors by its filters", async () => {
    expect(await ask("/users/7")).toEqual([200, { id: 7, name: "é" }]);
    expect(await ask("/users/8")).toEqual([404, { filtered: "no user 8" }]);
    expect(await ask("/users/x")).toMatchObject([400, { error: "Bad Request" }]);
    expect(await ask("/nothing")).toMatchObject([404, { message: "Cannot GET /nothing" }]);
  });

  test("reads a body, and refuses one that is not JSON", async () => {
    const value = { text: "é".repeat(40_000) };
    expect(await ask("/echo", postJson(value))).toEqual([201, { got: value }]);
    expect(await ask("/echo", { ...postJson(0), body: "{" })).toMatchObject([400, { error: "Bad Request" }]);
  });

  test("lets in whom its guard lets in", async () => {
    expect(await ask("/secret")).toMatchObject([403, { error: "Forbidden" }]);
    const response = await nest.fetch("port", "/secret", { headers: { "x-key": "right" } });
    expect([response.status, await response.text()]).toEqual([200, "a secret"]);
  });

  test("streams a file and events", async () => {
    const file = await nest.fetch("port", "/file");
    expect(await file.text()).toBe(`${"part ".repeat(20_000)}end`);
    const events = await (await nest.fetch("port", "/events")).text();
    expect(events.replaceAll(/^\n+/g, "")).toBe([1, 2, 3].map((id) => `id: ${id}\ndata: {"event":${id}}\n\n`).join(""));
  });
});

describe("an Apollo server", () => {
  const ask = async (query: string, variables: object = {}): Promise<unknown> =>
    (await services.fetch("apolloPort", "/", postJson({ query, variables }))).json();

  test("answers a mutation and a query", async () => {
    expect(await ask("mutation ($note: String!) { add(note: $note) }", { note: "é" })).toEqual({ data: { add: 1 } });
    expect(await ask("{ notes }")).toEqual({ data: { notes: ["é"] } });
  });

  test("answers an error of a resolver, of the query, and of the request", async () => {
    expect(await ask("{ secret }")).toMatchObject({
      data: { secret: null },
      errors: [{ message: "on purpose", path: ["secret"], extensions: { code: "FORBIDDEN" } }],
    });
    expect(await ask("{ unknown }")).toMatchObject({ errors: [{ extensions: { code: "GRAPHQL_VALIDATION_FAILED" } }] });
    const response = await services.fetch("apolloPort", "/", { ...postJson({}), body: "{" });
    expect(response.status).toBe(400);
  });
});

describe("a response that is written in parts", () => {
  /** Returns a function that reads until all of `text` has come. */
  function readerOf(response: Response): (text: string) => Promise<void> {
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let come = "";
    return async (text) => {
      while (come.length < text.length) {
        const { value, done } = await reader.read();
        if (done) break;
        come += value;
      }
      expect(come).toBe(text);
      come = "";
    };
  }
  const next = (name: string): Promise<Response> => services.fetch("pagesPort", `/next/${name}`);

  test("arrives part by part: each part before the next one is written", async () => {
    const response = await services.fetch("pagesPort", "/page/parts");
    const comes = readerOf(response);
    await comes("<div id=shell>…</div>");
    await next("parts");
    await comes("<script>fill(1)</script>");
    await next("parts");
    await comes(`<template>${"row ".repeat(75_000)}</template>`);
  });

  test("arrives event by event, and again after a reconnection", async () => {
    for (const last of [0, 2]) {
      const abort = new AbortController();
      const headers = { "last-event-id": String(last) };
      const response = await services.fetch("pagesPort", `/events/${last}`, { headers, signal: abort.signal });
      expect(response.headers.get("content-type")).toBe("text/event-stream");
      const comes = readerOf(response);
      await comes(`id: ${last + 1}\ndata: first\n\n`);
      await next(String(last));
      await comes(`id: ${last + 2}\nevent: named\ndata: sec\ndata: ond\n\n`);
      abort.abort();
    }
  });

  test("ends when its client leaves, and ends the source of a pipe", async () => {
    const wanted = ["endless full", "source full", "page gone"];
    const abort = new AbortController();
    const full = await services.fetch("pagesPort", "/endless/full", { signal: abort.signal });
    expect(full.headers.get("x-kind")).toBe("endless");
    const page = await services.fetch("pagesPort", "/page/gone", { signal: abort.signal });
    await readerOf(page)("<div id=shell>…</div>");
    abort.abort();
    let left: string[] = [];
    while (!wanted.every((each) => left.includes(each)))
      left = (await (await services.fetch("pagesPort", "/left")).json()) as string[];
    expect(left.filter((each) => wanted.includes(each)).toSorted()).toEqual(wanted.toSorted()); // Each once.
  });
});

describe("a reverse proxy", () => {
  test("passes heads and bodies on, in both directions", async () => {
    const text = "body é ".repeat(60_000);
    for (const body of [text, new Blob([text]).stream()]) {
      const answer = await services.fetch("proxyPort", "/path?q=1", { method: "POST", body });
      expect([answer.headers.get("x-seen"), await answer.text()]).toEqual(["POST /path?q=1 127.0.0.1", text]);
    }
  });

  test("answers for a target that breaks the connection", async () => {
    const answer = await services.fetch("proxyPort", "/breaks");
    expect([answer.status, await answer.text()]).toEqual([502, "ECONNRESET"]);
  });

  test("passes a WebSocket on, with messages of any size, and its end", async () => {
    const socket = new WebSocket(services.url("proxyPort", "/chat", "ws"));
    const received = messagesOf(socket);
    await new Promise((resolve) => (socket.onopen = resolve));
    for (const message of ["é", "large ".repeat(50_000)]) {
      socket.send(message);
      expect(await received()).toBe(message);
    }
    const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
    socket.close(1000);
    expect(await closed).toBe(1000);
  });
});
