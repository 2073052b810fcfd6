/**
 * What a Response of `fetch` has of its body before anybody reads it.
 *
 * A short body has often arrived together with the head. Then native code has it in memory, and to
 * take it whole costs a fraction of what a stream costs. No public member tells whether it is
 * there, and to find out by reading would start the stream. But the memory of a Response tells: a
 * body that still arrives does not belong to it.
 *
 * Guarantees: a body of unknown length is never taken for a whole one, because it may have no end.
 */
import { estimateShallowMemoryUsageOf } from "bun:jsc";
import { NativeResponse } from "./native-globals.ts";

/** Not the own `url` of a Response of `server.fetch`. */
const { get: getUrl } = Object.getOwnPropertyDescriptor(NativeResponse.prototype, "url") as {
  get(this: Response): string;
};
/** Memory of a Response without a body, a URL and a status text. */
let emptyBytes: number | undefined;

/**
 * Returns the number of bytes in memory of the body of a Response that `fetch` got over a network:
 * all of the body, or 0. Returns undefined for any other Response.
 */
export function fetchedBytesInMemory(response: Response): number | undefined {
  const url = getUrl.call(response);
  if (!url.startsWith("http")) return undefined;
  emptyBytes ??= estimateShallowMemoryUsageOf(new NativeResponse(null));
  const textBytes = url.length + response.statusText.length;
  return Math.max(0, estimateShallowMemoryUsageOf(response) - emptyBytes - textBytes);
}

/** Whether the bytes in memory are as many as the Content-Length field promises. */
export function isWhole({ headers }: Response, bytes: number): boolean {
  return bytes > 0 && headers.get("content-length") === String(bytes) && !headers.has("content-encoding");
}
