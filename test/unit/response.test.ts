import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { installGlobals } from "../../src/bun/serve/globals.ts";
import { NativeResponse } from "../../src/bun/serve/native-globals.ts";
import { HeadCache } from "../../src/http/head.ts";
import {
  type BodySource,
  type ResponseContext,
  planResponse,
  type ResponsePlan,
  takeBody,
} from "../../src/bun/serve/response.ts";
import { fieldsOf, isResponse, Memory, PlainJson } from "../../src/bun/serve/tracked-response.ts";

installGlobals();

const TEXT_TYPE = "text/plain;charset=utf-8";
const DATE = "Tue, 01 Jan 2030 00:00:00 GMT";

function planOf(response: Response, context: Partial<ResponseContext> = {}): ResponsePlan {
  return planResponse(response, { isHead: false, http10: false, keepAlive: true, ...context }, DATE);
}

/** Returns the lines of the head of a response. */
function linesOf(response: Response, context: Partial<ResponseContext> = {}): string[] {
  const { head } = planOf(response, context);
  expect(head).toEndWith("\r\n\r\n");
  return Buffer.from(head, "latin1").toString("latin1").slice(0, -4).split("\r\n");
}

/** Returns the values of a field in a head. */
function valuesOf(name: string, lines: string[]): string[] {
  return lines.filter((line) => line.toLowerCase().startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
}

class OwnResponse extends Response {}

const streamOf = (text: string): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.from(text));
      controller.close();
    },
  });

function formOf(name: string, value: string): FormData {
  const form = new FormData();
  form.append(name, value);
  return form;
}

/** Returns a Response that native code has made, with its body in memory. */
const fetched = (text: string): Promise<Response> => fetch(`data:text/x-test,${text}`);

async function textOf(body: BodySource | ResponsePlan["body"]): Promise<string> {
  switch (body.kind) {
    case "none":
      return "";
    case "text":
      return body.text;
    case "bytes":
      return Buffer.from(body.bytes).toString();
    case "stream":
      return Bun.readableStreamToText(body.stream);
    default:
      throw new Error(`the body is a ${body.kind}`);
  }
}

/** Returns a copy with the right type, because clone() is declared to return undici's Response. */
const cloneOf = (response: Response): Response => response.clone() as Response;

function withHeader(response: Response): Response {
  response.headers.set("a", "b");
  return response;
}

describe("takeBody", () => {
  const bytes = Buffer.from("bytes");
  test.each([
    ["a Uint8Array", () => Uint8Array.from(bytes), "bytes"],
    ["an ArrayBuffer", () => Uint8Array.from(bytes).buffer, "bytes"],
    ["a part of a buffer", () => Uint8Array.from(bytes).subarray(1, 3), "yt"],
    ["a DataView", () => new DataView(Uint8Array.from(bytes).buffer, 2), "tes"],
    ["a Blob", () => new Blob(["blob"]), "blob"],
    ["URLSearchParams", () => new URLSearchParams("a=b&c=d"), "a=b&c=d"],
  ] as [string, () => Bun.BodyInit, string][])("has %s at once", async (_, body, text) => {
    const taken = takeBody(new Response(body()));
    expect(taken.kind).toBe("bytes");
    expect(await textOf(taken)).toBe(text);
  });

  test.each(["", "text", "h\xe9llo \u{1f600}"])("has the text %j as it is", (text) => {
    expect(takeBody(new Response(text))).toEqual({ kind: "text", text, type: text === "" ? "" : TEXT_TYPE });
  });

  test("has a form at once", async () => {
    const taken = takeBody(new Response(formOf("name", "value")));
    expect(taken.kind).toBe("bytes");
    expect(await textOf(taken)).toContain('name="name"\r\n\r\nvalue\r\n');
  });

  test.each([
    ["null", null],
    ["undefined", undefined],
  ])("has none for %s, as often as it is asked", (_, body) => {
    const response = new Response(body);
    expect(takeBody(response)).toEqual({ kind: "none" });
    expect(takeBody(response)).toEqual({ kind: "none" });
  });

  test("has the very stream that a Response was made of", () => {
    const stream = streamOf("streamed");
    expect(takeBody(new Response(stream))).toEqual({ kind: "stream", stream });
  });

  test("has an async iterable as a stream", async () => {
    async function* parts() {
      yield "a";
      yield "b";
    }
    const taken = takeBody(new Response(parts() as unknown as Bun.BodyInit));
    expect(taken.kind).toBe("stream");
    expect(await textOf(taken)).toBe("ab");
  });

  test("has a file as it is, to be opened later", () => {
    const file = Bun.file(import.meta.path);
    expect(takeBody(new Response(file))).toEqual({ kind: "blob", blob: file, place: "file" });
    expect(takeBody(new NativeResponse(Bun.file(import.meta.path)))).toMatchObject({ kind: "blob", place: "file" });
  });

  test("has what is behind a descriptor for a stream", () => {
    expect(takeBody(new Response(Bun.file(0)))).toMatchObject({ kind: "blob", place: "elsewhere" });
  });

  test("has a File in memory with its length and type", async () => {
    const taken = takeBody(new Response(new File(["in memory"], "name.txt", { type: "text/x-own" })));
    expect(taken).toMatchObject({ type: "text/x-own" });
    expect(await textOf(taken)).toBe("in memory");
  });

  test("has what Response.json made", async () => {
    expect(await textOf(takeBody(Response.json({ a: [1] })))).toBe('{"a":[1]}');
  });

  test("has none for Response.redirect", () => {
    expect(takeBody(Response.redirect("/there"))).toEqual({ kind: "none" });
  });

  test.each([
    ["fetch had in memory", () => fetched("body")],
    ["a native constructor was given as text", () => new NativeResponse("body")],
    ["a native constructor was given as bytes", () => new NativeResponse(Buffer.from("body"))],
  ])("has what %s at once", async (_, make) => {
    const taken = takeBody(await make());
    expect(taken.kind).toBe("bytes");
    expect(await textOf(taken)).toBe("body");
  });

  test("does not start a stream that is not remembered before it is read", async () => {
    let pulled = false;
    const stream = new ReadableStream(
      { pull: (controller) => ((pulled = true), controller.close()) },
      { highWaterMark: 0 },
    );
    const taken = takeBody(new NativeResponse(stream));
    expect([taken.kind, pulled]).toEqual(["stream", false]);
    await textOf(taken);
    expect(pulled).toBe(true);
  });

  describe("of a response that is still arriving", () => {
    let server: Bun.Server<undefined>;
    let release: () => void;

    beforeAll(() => {
      server = Bun.serve({
        port: 0,
        fetch: () =>
          new Response(
            new ReadableStream({
              async start(controller) {
                controller.enqueue("begin");
                await new Promise<void>((resolve) => (release = resolve));
                controller.enqueue(" and end");
                controller.close();
              },
            }),
          ),
      });
    });

    afterAll(() => server.stop(true));

    test("is its stream", async () => {
      const taken = takeBody(await fetch(server.url));
      expect(taken.kind).toBe("stream");
      release();
      expect(await textOf(taken)).toBe("begin and end");
    });
  });

  const once: [what: string, make: () => Response | Promise<Response>][] = [
    ["text", () => new Response("text")],
    ["empty text", () => new Response("")],
    ["bytes", () => new Response(bytes)],
    ["a Blob", () => new Response(new Blob(["blob"]))],
    ["JSON", () => Response.json(1)],
    ["a stream", () => new Response(streamOf("stream"))],
    ["what fetch made", () => fetched("x")],
    ["an own subclass", () => new OwnResponse("own")],
  ];
  test.each(once)("a second time is a TypeError for %s", async (_, make) => {
    const response = await make();
    takeBody(response);
    expect(() => takeBody(response)).toThrow(TypeError);
  });

  test.each(once)("is an error of Bun's once the handler has read %s", async (_, make) => {
    const response = await make();
    await response.text();
    expect(() => takeBody(response)).toThrow(/^(?:Response body already used|Stream already used)/);
  });

  test("after takePlain is a TypeError", () => {
    const response = new Response("text");
    expect(Memory.takePlain(response)).toBe("text");
    expect(() => takeBody(response)).toThrow(TypeError);
  });
});

describe("takePlain", () => {
  test("has the text of a Response without status and headers, once", () => {
    const response = new Response("text");
    expect(Memory.takePlain(response)).toBe("text");
    expect(Memory.takePlain(response)).toBeUndefined();
  });

  test("has bytes that nobody else has", () => {
    for (const body of [Buffer.from("bytes"), new Uint8Array(Buffer.from("-bytes-")).subarray(1, 6)]) {
      const response = new Response(body);
      const taken = Memory.takePlain(response) as Uint8Array;
      body.fill(0);
      expect(Buffer.from(taken).toString()).toBe("bytes");
      expect(taken.buffer.byteLength).toBe(5);
      expect(Memory.takePlain(response)).toBeUndefined();
    }
    const { buffer } = new TextEncoder().encode("buffer");
    expect(Memory.takePlain(new Response(buffer))).toEqual(new TextEncoder().encode("buffer"));
  });

  test("has the text of JSON, which stays a Response for everybody", async () => {
    const response = Response.json({ a: "é" });
    expect(response).toBeInstanceOf(NativeResponse);
    expect(Memory.takePlain(response)).toEqual(new PlainJson('{"a":"é"}'));
    expect(Memory.takePlain(response)).toBeUndefined();
    expect(await new Response(Response.json([1]).body).json()).toEqual([1]);
    const copy = new Response("x", Response.json([1]));
    expect(copy.headers.get("content-type")).toBe("application/json;charset=utf-8");
  });

  const others: [what: string, make: () => Response | Promise<Response>][] = [
    ["with a status", () => new Response("x", { status: 201 })],
    ["with headers", () => new Response("x", { headers: { a: "b" } })],
    ["of an own subclass, whose headers may be changed unseen", () => new OwnResponse("own")],
    ["of an empty text, which has no type", () => new Response("")],
    ["of a Blob", () => new Response(new Blob(["x"]))],
    ["of a stream", () => new Response(streamOf("x"))],
    ["without a body", () => new Response()],
    ["of JSON with a status", () => Response.json("x", 201)],
    ["of JSON with headers", () => Response.json("x", { headers: { a: "b" } })],
    ["of JSON whose headers were changed", () => withHeader(Response.json("x"))],
    ["that fetch made", () => fetched("x")],
    ["whose headers were changed", () => withHeader(new Response("x"))],
    ["that is a clone whose headers were changed", () => withHeader(cloneOf(new Response("x")))],
    ["that is a clone of one whose headers were changed", () => cloneOf(withHeader(new Response("x")))],
  ];
  test.each(others)("has nothing for a Response %s", async (_, make) => {
    expect(Memory.takePlain(await make())).toBeUndefined();
  });

  test("has nothing for a Response that was taken", () => {
    const response = new Response("x");
    takeBody(response);
    expect(Memory.takePlain(response)).toBeUndefined();
  });

  test("has nothing for a Response that was read", async () => {
    const response = new Response("x");
    await response.text();
    expect(Memory.takePlain(response)).toBeUndefined();
  });
});

describe("Response.json", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  /** Returns what a program sees of the Response, or the error. */
  const outcomeOf = async (json: typeof Response.json, value: unknown): Promise<unknown> => {
    try {
      const response = json(value);
      const copy = response.clone();
      return [Bun.inspect(response), [...response.headers], (await copy.blob()).type, await response.text()];
    } catch (error) {
      return `${error}`;
    }
  };
  test.each<[string, unknown]>([
    ["an object", { text: "é€", list: [1, null, undefined], date: new Date(0), none: undefined }],
    ["a text", "a \u2028 \ud800"],
    ["a number", Number.NaN],
    ["null", null],
    ["undefined", undefined],
    ["a function", () => 1],
    ["a symbol", Symbol("s")],
    ["a bigint", 1n],
    ["a bigint in an object", { a: 1n }],
    ["a cycle", cycle],
    ["what has no text", { toJSON: () => undefined }],
  ])("makes of %s what Bun makes", async (_, value) => {
    expect(await outcomeOf(Response.json, value)).toEqual(await outcomeOf(NativeResponse.json, value));
  });

  test("asks a value once, and does not use a JSON.stringify of the program's", async () => {
    const { stringify } = JSON;
    let calls = 0;
    JSON.stringify = () => "replaced";
    try {
      expect(await Response.json({ toJSON: () => ++calls }).text()).toBe("1");
    } finally {
      JSON.stringify = stringify;
    }
    expect(calls).toBe(1);
  });

  test("gives each Response headers of its own", () => {
    Response.json(1).headers.set("content-type", "text/changed");
    expect(Response.json(2).headers.get("content-type")).toBe("application/json;charset=utf-8");
  });
});

describe("a clone", () => {
  test.each([
    ["text", () => new Response("body")],
    ["bytes", () => new Response(Buffer.from("body"))],
    ["a stream", () => new Response(streamOf("body"))],
    ["what fetch made", () => fetched("body")],
  ])("of %s has the same body, and both can be sent once", async (_, make) => {
    const response = await make();
    const copy = cloneOf(response);
    expect(await Promise.all([response, copy].map((each) => textOf(takeBody(each))))).toEqual(["body", "body"]);
    expect(() => takeBody(copy)).toThrow(TypeError);
    expect(() => takeBody(response)).toThrow(TypeError);
  });

  test("has the headers and the status", () => {
    const original = Response.json({}, { status: 404, headers: { a: "b" } });
    const copy = cloneOf(original);
    expect([copy.status, fieldsOf(copy).a]).toEqual([404, "b"]);
  });
});

describe("instanceof", () => {
  test("holds for every Response", async () => {
    for (const response of [
      new Response("x"),
      Response.json({}),
      Response.error(),
      new OwnResponse("x"),
      await fetched("x"),
      new Response("x").clone(),
    ]) {
      expect(response instanceof Response).toBe(true);
      expect(isResponse(response)).toBe(true);
    }
  });

  test("does not hold for anything else", () => {
    for (const value of [undefined, null, {}, "x", new Request("http://a"), Response, { __proto__: {} }]) {
      expect((value as unknown) instanceof Response).toBe(false);
      expect(isResponse(value)).toBe(false);
    }
  });

  test("of an own subclass holds for that one's instances alone", async () => {
    expect(new OwnResponse("x") instanceof OwnResponse).toBe(true);
    expect(new Response("x") instanceof OwnResponse).toBe(false);
    expect((await fetched("x")) instanceof OwnResponse).toBe(false);
  });
});

describe("the Response that remembers", () => {
  test("looks like the native one", () => {
    const response = new Response("x", { headers: { a: "b" } });
    expect(Response.name).toBe("Response");
    expect([...Object.getOwnPropertyNames(response), ...Object.getOwnPropertySymbols(response)]).toEqual([]);
    expect(Bun.inspect(response)).toStartWith("Response (1 byte");
  });

  test("is put in place once", () => {
    const before = Response;
    installGlobals();
    expect(Response).toBe(before);
  });

  test("is what native functions take", async () => {
    using server = Bun.serve({ port: 0, fetch: () => new OwnResponse("served", { status: 202, headers: { a: "b" } }) });
    const response = await fetch(server.url);
    expect([response.status, response.headers.get("a"), await response.text()]).toEqual([202, "b", "served"]);
  });
});

describe("a head", () => {
  test.each([
    [200, "HTTP/1.1 200 OK"],
    [404, "HTTP/1.1 404 Not Found"],
    [503, "HTTP/1.1 503 Service Unavailable"],
    [299, "HTTP/1.1 299 "],
    [599, "HTTP/1.1 599 "],
  ])("begins with the status %d and its reason", (status, line) => {
    expect(linesOf(new Response(null, { status }))).toEqual([line, `Date: ${DATE}`, "Content-Length: 0"]);
  });

  test("has the Response's own reason", () => {
    expect(linesOf(new Response("", { statusText: "Tr\xe8s bien" }))[0]).toBe("HTTP/1.1 200 Tr\xe8s bien");
  });

  // Bun's constructor accepts any text. U+010D U+010A become CR LF when they are written as
  // Latin-1.
  test.each(["a\r\nSet-Cookie: b=c", "a\nb", "a\0b", "a\u010d\u010aSet-Cookie: b=c"])(
    "with the reason %j has the status's own, as in Bun",
    (statusText) => {
      expect(linesOf(new Response("", { statusText }))[0]).toBe("HTTP/1.1 200 OK");
    },
  );

  test("of Response.error(), which has no status, is a TypeError", () => {
    expect(() => planOf(Response.error())).toThrow(TypeError);
  });

  test("has each Set-Cookie in a line of its own, and other fields joined", () => {
    const response = new Response("");
    for (const value of ["a=1", "b=2, 3"]) response.headers.append("Set-Cookie", value);
    for (const value of ["4", "5"]) response.headers.append("X-Own", value);
    const lines = linesOf(response);
    expect([valuesOf("set-cookie", lines), valuesOf("x-own", lines)]).toEqual([["a=1", "b=2, 3"], ["4, 5"]]);
  });

  test.each([
    ["text", () => "text", TEXT_TYPE],
    ["bytes", () => Buffer.from("bytes"), "application/octet-stream"],
    ["a Blob with a type", () => new Blob(["x"], { type: "image/x" }), "image/x"],
    ["a File", () => new File(["x"], "name", { type: "text/x-own" }), "text/x-own"],
    ["a file", () => Bun.file(import.meta.path), Bun.file(import.meta.path).type],
    ["URLSearchParams", () => new URLSearchParams("a=b"), "application/x-www-form-urlencoded;charset=UTF-8"],
  ] as [string, () => Bun.BodyInit, string][])("says the type of %s, unless the Response does", (_, body, type) => {
    expect(valuesOf("content-type", linesOf(new Response(body())))).toEqual([type]);
    expect(
      valuesOf("content-type", linesOf(new Response(body(), { headers: { "content-type": "own/type" } }))),
    ).toEqual(["own/type"]);
  });

  test("says the boundary of a form", async () => {
    const { head, body } = planOf(new Response(formOf("name", "value")));
    const boundary = (await textOf(body)).slice(2).split("\r\n")[0];
    expect(valuesOf("content-type", head.split("\r\n"))).toEqual([`multipart/form-data; boundary=${boundary}`]);
  });

  test("says the type of JSON, and of what fetch made", async () => {
    expect(valuesOf("content-type", linesOf(Response.json({})))).toEqual(["application/json;charset=utf-8"]);
    expect(valuesOf("content-type", linesOf(await fetched("x")))).toEqual(["text/x-test"]);
    expect(valuesOf("content-type", linesOf(new NativeResponse("x")))).toEqual([TEXT_TYPE]);
  });

  test("of a stream, or without a body, says no type", () => {
    const responses = [new Response(streamOf("x")), new Response(), new Response("x", { status: 204 })];
    for (const response of responses) expect(valuesOf("content-type", linesOf(response))).toEqual([]);
  });

  test("of a redirect says where to", () => {
    const lines = linesOf(Response.redirect("/there", 303));
    expect([lines[0], ...valuesOf("location", lines)]).toEqual(["HTTP/1.1 303 See Other", "/there"]);
  });

  test("has the Response's own Date", () => {
    expect(valuesOf("date", linesOf(new Response("x", { headers: { date: "yesterday" } })))).toEqual(["yesterday"]);
  });

  test("does not pass on what a handler says of the connection", () => {
    const headers = {
      connection: "keep-alive, x",
      "keep-alive": "timeout=5",
      "content-length": "99",
      "transfer-encoding": "gzip",
      a: "b",
    };
    expect(linesOf(new Response(Buffer.from("x"), { headers }))).toEqual([
      "HTTP/1.1 200 OK",
      "a: b",
      "Content-Type: application/octet-stream",
      `Date: ${DATE}`,
      "Content-Length: 1",
    ]);
  });
});

/** Returns the fields that tell where the body ends, and whether the connection goes on. */
function framingOf(response: Response, context: Partial<ResponseContext> = {}): string[] {
  return linesOf(response, context).filter((line) => /^(content-length|transfer-encoding|connection):/i.test(line));
}

describe("a body's end is", () => {
  const bodies: [what: string, make: () => Response, fields: string[]][] = [
    ["the length in bytes of text", () => new Response("\xe9\u{1f600}"), ["Content-Length: 6"]],
    ["the length of bytes", () => new Response(Buffer.from("abc")), ["Content-Length: 3"]],
    ["a length of 0 for no body", () => new Response(), ["Content-Length: 0"]],
    [
      "the length of a file",
      () => new Response(Bun.file(import.meta.path)),
      [`Content-Length: ${Bun.file(import.meta.path).size}`],
    ],
    ["the last chunk of a stream", () => new Response(streamOf("x")), ["Transfer-Encoding: chunked"]],
    [
      "the last chunk of a stream, whatever length is promised",
      () => new Response(streamOf("x"), { headers: { "content-length": "1" } }),
      ["Transfer-Encoding: chunked"],
    ],
    [
      "not a false promise for text",
      () => new Response("abc", { headers: { "content-length": "1" } }),
      ["Content-Length: 3"],
    ],
    ["not said for 204", () => new Response(null, { status: 204 }), []],
    ["not said for 304", () => new Response(null, { status: 304 }), []],
    [
      "the promise for 304",
      () => new Response(null, { status: 304, headers: { "content-length": "7" } }),
      ["Content-Length: 7"],
    ],
    ["a length of 0 for 205", () => new Response("x", { status: 205 }), ["Content-Length: 0"]],
  ];
  test.each(bodies)("%s", (_, make, fields) => {
    expect(framingOf(make())).toEqual(fields);
    expect(framingOf(make(), { isHead: true })).toEqual(fields);
  });

  test("the connection's, for a stream in version 1.0", () => {
    expect(framingOf(new Response(streamOf("x")), { http10: true })).toEqual(["Connection: close"]);
    expect(planOf(new Response(streamOf("x")), { http10: true }).keepAlive).toBe(false);
  });

  test("in the answer to HEAD what is promised for no body", () => {
    const response = new Response(null, { headers: { "content-length": "7" } });
    expect(framingOf(response, { isHead: true })).toEqual(["Content-Length: 7"]);
  });
});

describe("a body is not sent", () => {
  const cases: [why: string, init: ResponseInit, context: Partial<ResponseContext>][] = [
    ["in answer to HEAD", {}, { isHead: true }],
    ["with 204", { status: 204 }, {}],
    ["with 205", { status: 205 }, {}],
    ["with 304", { status: 304 }, {}],
  ];
  test.each(cases)("%s", (_, init, context) => {
    for (const body of ["x", Buffer.from("x")])
      expect(planOf(new Response(body, init), context).body).toEqual({ kind: "none" });
  });

  test.each(cases)("%s, and a stream is cancelled", async (_, init, context) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stream = new ReadableStream({ cancel: () => resolve() });
    expect(planOf(new Response(stream, init), context).body).toEqual({ kind: "none" });
    await promise;
  });
});

describe("a connection", () => {
  test.each([
    ["stays open in version 1.1", undefined, {}, []],
    ["stays open in version 1.0, and says so", undefined, { http10: true }, ["Connection: keep-alive"]],
    ["closes, and says so", undefined, { keepAlive: false }, ["Connection: close"]],
    ["closes in version 1.0", undefined, { keepAlive: false, http10: true }, ["Connection: close"]],
    ["closes when the Response says close", "close", {}, ["Connection: close"]],
    ["closes when the Response says Close among others", "upgrade , Close", {}, ["Connection: close"]],
    ["stays open when the Response says closed", "closed", {}, []],
    ["closes though the Response says keep-alive", "keep-alive", { keepAlive: false }, ["Connection: close"]],
  ] as [string, string | undefined, Partial<ResponseContext>, string[]][])("%s", (_, connection, context, fields) => {
    const make = (): Response => new Response("x", connection === undefined ? undefined : { headers: { connection } });
    expect(framingOf(make(), context)).toEqual(["Content-Length: 1", ...fields]);
    expect(planOf(make(), context).keepAlive).toBe(!fields.includes("Connection: close"));
  });
});

describe("the head cache", () => {
  /** The value of performance.now() at the start of a second of the clock. */
  const offsetMs = Date.now() - performance.now();
  const second = Math.ceil(offsetMs / 1000);
  const startMs = second * 1000 - offsetMs;
  const dateOf = (seconds: number): string => new Date(seconds * 1000).toUTCString();

  test("has the date of the second it is asked in", () => {
    const heads = new HeadCache();
    expect([20, 500, 980, 1020, 61_500].map((ms) => heads.date(startMs + ms))).toEqual([
      dateOf(second),
      dateOf(second),
      dateOf(second),
      dateOf(second + 1),
      dateOf(second + 61),
    ]);
  });

  const bodies = [
    [TEXT_TYPE, (bytes: number) => new Response("x".repeat(bytes))],
    ["application/json;charset=utf-8", (bytes: number) => Response.json("x".repeat(Math.max(bytes - 2, 0)))],
    ["application/octet-stream", (bytes: number) => new Response(Buffer.alloc(bytes))],
  ] as const;
  test.each(bodies)("has the same head for %s of any length as if it were planned", (type, make) => {
    const heads = new HeadCache();
    const fieldsOf = (head: string): string[] => head.toLowerCase().split("\r\n").toSorted();
    for (const nowMs of [startMs + 1, startMs + 2, startMs + 1001]) {
      for (const bytes of [2, 5, 4095, 4096, 100_000]) {
        const context = { isHead: false, http10: false, keepAlive: true };
        const planned = planResponse(make(bytes), context, heads.date(nowMs)).head;
        expect(fieldsOf(heads.of(nowMs, type, bytes))).toEqual(fieldsOf(planned));
      }
    }
  });
});
