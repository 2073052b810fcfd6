/**
 * Bun.serve for node:http. It serves on the ring if the contract (contract.ts) is known and passes
 * the trial. Otherwise it calls Bun's own function, with one notice that says why.
 *
 * The trial runs with the first server of a thread. So a process without a server pays nothing.
 */
import { Server } from "node:http";
import { originals } from "../sys/bun-originals.ts";
import { reactorFor } from "../operations/fallback.ts";
import { noticeFallback } from "../operations/notice.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { KNOWN_VERSIONS, type NodeServeOptions, type OnRequest } from "./contract.ts";
import { probe } from "./probe.ts";
import { NodeServer } from "./server.ts";
import { tryContract } from "./trial.ts";

/** Set while `listen` is called only to get the options that node:http passes to Bun.serve. */
let capture: ((options: NodeServeOptions) => void) | undefined;
/**
 * The trial's result: a text that says what is wrong, or null if nothing is. Undefined before the
 * trial.
 */
let trial: string | null | undefined;

/**
 * Takes the options that node:http passes to Bun.serve. Returns the object that node:http uses as
 * its server.
 */
export function serveNode(options: NodeServeOptions): object {
  if (capture !== undefined) {
    capture(options);
    throw new Error("this server is for a trial, and listens nowhere");
  }
  if (options.tls !== undefined && options.tls !== null) {
    noticeFallback("node:https", "the ring does not serve TLS");
    return bunsOwn(options);
  }
  const reactor = reactorFor("node:http", {});
  if (reactor === undefined) return bunsOwn(options);
  const wrong = whyNot(options, reactor);
  const internals = wrong ?? probe(options.onNodeHTTPRequest);
  if (typeof internals === "string") {
    noticeFallback("node:http", internals);
    return bunsOwn(options);
  }
  return new NodeServer(reactor, internals, options.onNodeHTTPRequest, options).native;
}

function bunsOwn(options: NodeServeOptions): object {
  return originals.serve(options as never) as unknown as object;
}

/**
 * Returns why the servers of this thread cannot use the ring, or undefined if they can. Runs the
 * trial once.
 */
function whyNot({ onNodeHTTPRequest }: NodeServeOptions, reactor: Reactor): string | undefined {
  if (!KNOWN_VERSIONS.includes(Bun.version))
    return `this is Bun ${Bun.version}, and the ring knows node:http of Bun ${KNOWN_VERSIONS.join(", ")}`;
  if (typeof onNodeHTTPRequest !== "function" || onNodeHTTPRequest.length !== 12)
    return "it asks for its requests in another way than the ring knows";
  if (trial === undefined) {
    const wrong = tryContract(
      (options) => new Server(options),
      listenNowhere,
      probe,
      (internals, onRequest) => {
        return new NodeServer(reactor, internals, onRequest, undefined);
      },
    );
    trial = wrong === undefined ? null : `it does not do what the ring knows of it (${wrong})`;
  }
  return trial ?? undefined;
}

function listenNowhere(server: Server): OnRequest {
  let onRequest: OnRequest | undefined;
  server.on("error", () => {});
  capture = (options) => (onRequest = options.onNodeHTTPRequest);
  try {
    server.listen(0);
  } finally {
    capture = undefined;
  }
  if (onRequest === undefined) throw new Error("node:http does not call Bun.serve");
  return onRequest;
}
