/**
 * Finds where a Blob's bytes are. For a Blob of a file, it finds the path and the part of the file.
 *
 * Bun shows this in one place only: the text that `Bun.inspect` writes for people. The `name` of a
 * Blob is a label. A program can set it, and a client can choose it (the file name in a form). So
 * this file never uses the name as a path.
 *
 * Guarantees: the path and the part come from the Blob's own store, or the answer is undefined. The
 * inspected object is a native Blob without properties of its own and without a subclass: the Blob
 * itself, or a new one over the same store that has no name. If the text does not have exactly the
 * expected form, the answer is undefined, and the caller reads the Blob through Bun.
 */

/** Where the bytes are. "elsewhere" means behind a descriptor, or in S3. */
export type Place = "memory" | "file" | "elsewhere";

/** The part of a file that a Blob stands for. */
export interface BlobFile {
  path: string;
  /** Position of the first byte, in bytes from the start of the file. */
  offset: number;
  /** Largest number of bytes. Infinity if the Blob ends at the end of the file. */
  bytesMax: number;
}

/**
 * A length in bytes that is larger than most file systems of Linux allow for a file (2 PiB). It is
 * smaller than the value by which Bun marks an unknown size (2^52).
 */
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
 * Returns the time of the file's last change that the Blob remembers, in milliseconds since 1970.
 *
 * The Blob reads the time when somebody first asks for its size or for this time, at the latest in
 * this call. If the remembered time is older than the time of the file, the remembered size is out
 * of date too.
 */
export function knownLastModified(blob: Blob): number {
  return getLastModified.call(blob);
}

export function placeOf(blob: Blob): Place {
  const picture = inspect(blob);
  if (picture.startsWith('FileRef ("')) return "file";
  return /^(?:FileRef|S3Ref) \(/.test(picture) ? "elsewhere" : "memory";
}

/**
 * Returns the file, and the part of it, that the Blob stands for. Returns undefined if they are not
 * certain.
 */
export function fileOf(blob: Blob): BlobFile | undefined {
  return wholeFileOf(blob) ?? fileOfBare(blob);
}

/** The text of a file from its first byte on, with a type that cannot be mistaken for more lines. */
const WHOLE = /^FileRef \("([^\p{Cc}\ufffd]+)"\)(?: \{\n {2}type: "[\w+./;= -]*"\n\})?$/u;

/** Most Blobs of files are as Bun.file() has made them. */
function wholeFileOf(blob: Blob): BlobFile | undefined {
  if (Object.getPrototypeOf(blob) !== NativeBlob.prototype || Reflect.ownKeys(blob).length > 0) return undefined;
  const path = WHOLE.exec(inspect(blob))?.[1];
  return path === undefined ? undefined : { path, offset: 0, bytesMax: bytesMaxOf(blob) };
}

/** The same for a name, a slice, a subclass, or an unusual type: looks at a new Blob without them. */
function fileOfBare(blob: Blob): BlobFile | undefined {
  const bare = new NativeBlob([blob], { type: "" });
  setName.call(bare, "");
  const picture = inspect(bare);
  const lineEnd = picture.indexOf("\n");
  const line = lineEnd < 0 ? picture : picture.slice(0, lineEnd);
  // U+FFFD stands for bytes of a path that are not valid UTF-8. A control character might end the
  // line.
  const path = /^FileRef \("([^\p{Cc}\ufffd]+)"\)(?: \{)?$/u.exec(line)?.[1];
  if (path === undefined) return undefined;
  let offset = 0;
  if (lineEnd >= 0) {
    const rest = /^\n(?: {2}name: "",?\n)?(?: {2}offset: (\d+)\n,?\n)?(?: {2}lastModified: \d+\n)?\}$/;
    const fields = rest.exec(picture.slice(lineEnd));
    if (fields === null) return undefined;
    offset = Number(fields[1] ?? 0);
  }
  return { path, offset, bytesMax: bytesMaxOf(bare) };
}

/**
 * A Blob of a file remembers the size that it once returned. A slice longer than any file shows the
 * length that the program has chosen.
 */
function bytesMaxOf(blob: Blob): number {
  const { size } = slice.call(blob, 0, LENGTH_MAX);
  return size >= LENGTH_MAX ? Infinity : size;
}
