/** What the responders of Bun's API need of their server. */
import type { ExchangeHost } from "../../http/host.ts";
import type { RingRequest } from "./request.ts";
import type { Route } from "./routes.ts";
import type { Router } from "./router.ts";

export interface ServeHost extends ExchangeHost {
  readonly defaultOrigin: string;
  /** Null for a server with a fetch handler alone. */
  readonly router: Router<Route> | null;
  /** Calls the route's handler, or the fetch handler. Whatever it throws or rejects with ends in a Response. */
  handle(request: RingRequest, handler?: Route["handler"]): Response | Promise<Response>;
  handleError(error: unknown): Response | Promise<Response>;
}
