/**
 * Methods of Buffer that bun-types leaves out. Node and Bun have them, and use them in `write` and
 * `toString`.
 */
interface Buffer {
  latin1Slice(start?: number, end?: number): string;
  utf8Slice(start?: number, end?: number): string;
  latin1Write(text: string, offset?: number, length?: number): number;
  utf8Write(text: string, offset?: number, length?: number): number;
}
