/** Frames of clients, valid and invalid. */
export interface FrameOptions {
  fin?: boolean;
  /** The three reserved bits as a number: 4 is RSV1. */
  rsv?: number;
  mask?: boolean;
  key?: number[];
}

/** Makes a valid frame of a client, unless the options say otherwise. */
export function frame(opcode: number, payload: string | Uint8Array = "", options: FrameOptions = {}): Buffer {
  const { fin = true, rsv = 0, mask = true, key = [0x37, 0xfa, 0x21, 0x3d] } = options;
  const bytes = Buffer.from(payload as string);
  const { length } = bytes;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const bit = mask ? 0x80 : 0;
  if (length < 126) head.push(bit | length);
  else if (length < 65536) head.push(bit | 126, length >> 8, length & 255);
  else head.push(bit | 127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255);
  if (!mask) return Buffer.concat([Buffer.from(head), bytes]);
  for (let i = 0; i < length; i++) bytes[i] = bytes[i]! ^ key[i & 3]!;
  return Buffer.concat([Buffer.from([...head, ...key]), bytes]);
}
