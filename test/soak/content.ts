/** The answers of the soak's server. Its clients compare with them. */

export const LARGE_FILE_BYTES = 300_000;
export const largeFile = (): Buffer => Buffer.alloc(LARGE_FILE_BYTES, "a large file ");

/** Returns the whole text of a stream: `parts` numbered parts. */
export const streamText = (id: string, parts: number): string =>
  Array.from({ length: parts }, (_, i) => `${id}:${i};`).join("");

/** The field in which a client announces whether it stays until the answer, or leaves before. */
export const FATE = "x-fate";
export type Fate = "stays" | "leaves";
/** The same announcement for an echo connection: its first byte. */
export const FATE_BYTE: Record<Fate, number> = { stays: 0x53, leaves: 0x4c };

export const services = ["http", "body", "stream", "file", "store", "node", "websocket", "tcp", "udp"] as const;
export type Service = (typeof services)[number];

/** The ports of the server. */
export interface Ports {
  http: number;
  node: number;
  tcp: number;
  udp: number;
}
