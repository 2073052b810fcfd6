/** The parts of the server that the responders of Bun's API need. */
import type { ExchangeHost } from "../../http/host.ts";
import type { Handlers } from "./handlers.ts";
import type { Route } from "./routes.ts";
import type { Router } from "./router.ts";

export interface ServeHost extends ExchangeHost {
  readonly defaultOrigin: string;
  /** The router. Null for a server with only a fetch handler. */
  readonly router: Router<Route> | null;
  readonly handlers: Handlers;
}
