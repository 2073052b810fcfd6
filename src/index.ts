/**
 * ringloop's public interface.
 *
 * @module ringloop
 */
export type { RingServeOptions, ServeOptions } from "./http/serve-options.ts";
export { serve, type Server } from "./http/server.ts";
export { connect, type TcpConnectOptions } from "./net/connect.ts";
export {
  type DescriptorOptions,
  listen,
  type SocketListener,
  type StreamOptions,
  type TcpListenOptions,
  type UnixOptions,
} from "./net/listen.ts";
export { connectStream, listenStream, type StreamListener, type StreamSocket } from "./net/stream-socket.ts";
export type { Socket } from "./net/socket.ts";
export type { Writable } from "./net/socket-data.ts";
export type { BinaryType, SocketHandlers } from "./net/socket-handlers.ts";
export { type ReceiveFlags, type UdpHandlers, type UdpOptions, udpSocket, type UdpSocket } from "./net/udp.ts";
export type { SocketAddress } from "./net/address.ts";
export type { FileHandle, Stats } from "./fs/index.ts";
export type { Multishot, MultishotOptions } from "./reactor/multishot.ts";
export type { Operation, OperationOptions } from "./reactor/operation.ts";
export type { ChildState, WaitTarget } from "./reactor/operation-events.ts";
export type { Accepted, MessageRoom, MessageToSend, ReceivedMessage } from "./reactor/operation-messages.ts";
export { useReactor } from "./reactor/thread.ts";
export type { Mode } from "./reactor/mode.ts";
export type { ReactorInfo, ReactorOptions, ReactorStats } from "./reactor/options.ts";
export type { Reactor } from "./reactor/reactor.ts";
export { SystemError } from "./sys/errno.ts";
export { LibraryError } from "./sys/library.ts";
