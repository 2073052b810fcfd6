/**
 * Where a Blob's bytes lie, and for a Blob of a file: which file, and which part of it.
 *
 * Bun tells this in one place only: the picture that `Bun.inspect` draws for people. A Blob's `name` is a label that a program sets and that a
 * client chooses (a form's file name), so it is never taken for a path.
 *
 * Guarantees: the path and the part are those of the Blob's own store, or the answer is undefined. The picture is drawn of a fresh native
 * Blob over the same store, which has no name, no own properties and no subclass. A picture that is not exactly of the expected form is a
 * doubt: the caller reads the Blob through Bun then.
 */

/** "elsewhere" is behind a descriptor, or in S3. */
export type Place = "memory" | "file" | "elsewhere";

/** The part of a file that a Blob is. */
export interface BlobFile {
  path: string;
  /** First byte. */
  offset: number;
  /** Bytes at most; Infinity where the Blob ends where the file does. */
  bytesMax: number;
}

/** More than a file of Linux may have on most file systems (2 PiB), and less than Bun's own mark for a size that it does not know (2^52). */
const LENGTH_MAX = 2 ** 51;

const { inspect } = Bun;
const NativeBlob = Blob;
const { slice } = Blob.prototype;
const { set: setName } = Object.getOwnPropertyDescriptor(Blob.prototype, "name") as {
  set(this: Blob, name: string): void;
};

const { get: getLastModified } = Object.getOwnPropertyDescriptor(Blob.prototype, "lastModified") as {
  get(this: Blob): number;
};

/**
 * When the file was changed last, in milliseconds since 1970, as the Blob knows it: since somebody has asked for its size, or for this, or else
 * now. An older time than the file has shows that the size is an older one, too.
 */
export function knownLastModified(blob: Blob): number {
  return getLastModified.call(blob);
}

export function placeOf(blob: Blob): Place {
  const picture = inspect(blob);
  if (picture.startsWith('FileRef ("')) return "file";
  return /^(?:FileRef|S3Ref) \(/.test(picture) ? "elsewhere" : "memory";
}

/** The file and the part of it that the Blob is, or undefined where they are not known beyond doubt. */
export function fileOf(blob: Blob): BlobFile | undefined {
  const bare = new NativeBlob([blob], { type: "" });
  setName.call(bare, "");
  const picture = inspect(bare);
  const lineEnd = picture.indexOf("\n");
  const line = lineEnd < 0 ? picture : picture.slice(0, lineEnd);
  // U+FFFD stands for bytes of a path that are no UTF-8. A control character might end the line.
  const path = /^FileRef \("([^\p{Cc}\ufffd]+)"\)(?: \{)?$/u.exec(line)?.[1];
  if (path === undefined) return undefined;
  let offset = 0;
  if (lineEnd >= 0) {
    const rest = /^\n(?: {2}name: "",?\n)?(?: {2}offset: (\d+)\n,?\n)?(?: {2}lastModified: \d+\n)?\}$/;
    const fields = rest.exec(picture.slice(lineEnd));
    if (fields === null) return undefined;
    offset = Number(fields[1] ?? 0);
  }
  // Asked for its size, a file remembers it from then on. A slice that is longer than the file tells the length that the program has chosen.
  const { size } = slice.call(bare, 0, LENGTH_MAX);
  return { path, offset, bytesMax: size >= LENGTH_MAX ? Infinity : size };
}
