/** What the soak's server answers, for its clients to compare with. */

export const LARGE_FILE_BYTES = 300_000;
export const largeFile = (): Buffer => Buffer.alloc(LARGE_FILE_BYTES, "a large file ");

/** A stream's whole text: `parts` parts, each numbered. */
export const streamText = (id: string, parts: number): string =>
  Array.from({ length: parts }, (_, i) => `${id}:${i};`).join("");

/** What a client says it is going to do with its connection: be there until it is answered, or leave before. */
export const FATE = "x-fate";
export type Fate = "stays" | "leaves";
/** The same for a connection of echoes, as its first byte. */
export const FATE_BYTE: Record<Fate, number> = { stays: 0x53, leaves: 0x4c };

export const services = ["http", "body", "stream", "file", "store", "websocket", "tcp", "udp"] as const;
export type Service = (typeof services)[number];

/** Where the server listens. */
export interface Ports {
  http: number;
  tcp: number;
  udp: number;
}
