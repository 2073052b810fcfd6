/**
 * The functions of a program that answer requests: the fetch handler, the handlers of routes, and
 * the error handler.
 *
 * Guarantees: whatever a handler returns, throws or rejects with ends in a Response.
 */
import { outside } from "../../sys/async-context.ts";
import { enterProgram, leaveProgram, runJobs } from "../../sys/program.ts";
import { showUncaught } from "../../sys/uncaught.ts";
import { errorOf, errorResponse } from "./error-page.ts";
import { RingRequest } from "./request.ts";
import type { Route } from "./routes.ts";
import type { Answer, ErrorHandler, FetchHandler } from "./serve-options.ts";
import type { Server } from "./server.ts";
import { isResponse } from "./tracked-response.ts";

export class Handlers {
  fetch: FetchHandler;
  error: ErrorHandler | undefined;
  private readonly server: Server;

  /** Without a fetch handler, requests are answered with 404. */
  constructor(server: Server, fetch: FetchHandler | undefined, error: ErrorHandler | undefined) {
    this.server = server;
    this.fetch = fetch ?? notFound;
    this.error = error;
  }

  /** Whether the program gave a fetch handler. */
  get hasFetch(): boolean {
    return this.fetch !== notFound;
  }

  /** Calls the handler of the route, or the fetch handler. */
  handle(request: RingRequest, handler?: Route["handler"]): Answer {
    let result: Answer;
    let threw = true;
    enterProgram();
    try {
      result = outside(callFetch, (handler ?? this.fetch) as FetchHandler, this.server, request as unknown as Request);
      threw = false;
    } catch (error) {
      result = error as Response;
    } finally {
      leaveProgram();
    }
    if (threw) {
      runJobs(); // As in Bun, jobs that the handler started run before the error handler.
      return this.handleError(result);
    }
    if (isResponse(result)) return result;
    if (result instanceof Promise) {
      const settled = Bun.peek.status(result) === "fulfilled" ? Bun.peek(result) : undefined;
      return isResponse(settled) ? settled : result;
    }
    if (RingRequest.isHandedOver(request)) return noResponse;
    return this.handleError(errorOf(result));
  }

  /** Calls the error handler. Without one, shows the error and returns the error page. */
  handleError(error: unknown): Answer {
    if (!this.error) return this.report(error);
    let result: ReturnType<ErrorHandler>;
    enterProgram();
    try {
      result = outside(callError, this.error, this.server, error as Error);
    } catch (failure) {
      return this.report(failure);
    } finally {
      leaveProgram();
    }
    if (isResponse(result)) return result;
    return Promise.resolve(result).then(
      (response) => (isResponse(response) ? response : this.report(error)),
      (failure) => this.report(failure),
    );
  }

  /** Shows an error for which there is no error handler. Returns the error page. */
  report(error: unknown): Response {
    showUncaught(error);
    return errorResponse(error, this.server.development);
  }
}

/** Returned in place of a response when the connection of the request has been given away. */
const noResponse = new Response(null);

const notFound: FetchHandler = () => new Response(null, { status: 404 });

export function callFetch(handler: FetchHandler, server: Server, request: Request): Answer {
  return handler.call(server, request, server);
}

function callError(handler: ErrorHandler, server: Server, error: Error): ReturnType<ErrorHandler> {
  return handler.call(server, error);
}
