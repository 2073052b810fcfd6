/** ringloop's public interface. */
export { serve, type ErrorHandler, type FetchHandler, type ServeOptions, type Server } from "./http/server.ts";
export { useReactor } from "./reactor/thread.ts";
export type { Mode } from "./reactor/mode.ts";
export type { Reactor, ReactorInfo, ReactorOptions, ReactorStats } from "./reactor/reactor.ts";
export type { SocketAddress } from "./net/address.ts";
export { SystemError } from "./sys/errno.ts";
export { LibraryError } from "./sys/library.ts";
