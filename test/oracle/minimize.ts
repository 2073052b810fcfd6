/**
 * Returns a stream that still fails, in which every slice with a length of a power of two is needed
 * for the failure.
 */
export function minimize(stream: string, fails: (candidate: string) => boolean): string {
  let smallest = stream;
  for (let before = ""; before !== smallest;) {
    before = smallest;
    for (let bytes = 2 ** Math.floor(Math.log2(stream.length)); bytes >= 1; bytes /= 2)
      smallest = withoutSlices(smallest, bytes, fails);
  }
  return smallest;
}

function withoutSlices(stream: string, bytes: number, fails: (candidate: string) => boolean): string {
  let smallest = stream;
  for (let at = 0; at < smallest.length;) {
    const candidate = smallest.slice(0, at) + smallest.slice(at + bytes);
    if (fails(candidate)) smallest = candidate;
    else at += bytes;
  }
  return smallest;
}
