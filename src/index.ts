/**
 * ringloop's public interface.
 *
 * @module ringloop
 */
export type { RingServeOptions, ServeOptions } from "./bun/serve/serve-options.ts";
export { serve, type Server } from "./bun/serve/server.ts";
export type { StopOptions } from "./bun/serve/stopping.ts";
export { connect, type TcpConnectOptions } from "./bun/sockets/connect.ts";
export {
  type DescriptorOptions,
  listen,
  type ListeningDescriptorOptions,
  type SocketListener,
  type StreamOptions,
  type TcpListenOptions,
  type UnixOptions,
} from "./bun/sockets/listen.ts";
export { connectStream, listenStream, type StreamListener, type StreamSocket } from "./bun/sockets/stream-socket.ts";
export type { Socket } from "./bun/sockets/socket.ts";
export type { Writable } from "./bun/sockets/socket-data.ts";
export type { BinaryType, SocketHandlers } from "./bun/sockets/socket-handlers.ts";
export { type ReceiveFlags, type UdpHandlers, type UdpOptions, udpSocket, type UdpSocket } from "./bun/sockets/udp.ts";
export type { PassedSocket } from "./transport/passed-sockets.ts";
export type { SocketAddress } from "./transport/address.ts";
export type { FileHandle, Stats } from "./fs/index.ts";
export type { Multishot, MultishotOptions } from "./operations/multishot.ts";
export type { Operation, OperationOptions } from "./operations/operation.ts";
export type { ChildState, WaitTarget } from "./operations/operation-events.ts";
export type { Accepted, MessageRoom, MessageToSend, ReceivedMessage } from "./operations/operation-messages.ts";
export { useReactor } from "./operations/thread.ts";
export type { Mode } from "./reactor/mode.ts";
export type { ReactorInfo, ReactorOptions, ReactorStats } from "./reactor/options.ts";
export type { OperatingReactor as Reactor } from "./operations/operating-reactor.ts";
export { SystemError } from "./sys/errno.ts";
export { LibraryError } from "./sys/library.ts";
