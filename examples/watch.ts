/**
 * Prints the events in a directory. A multishot poll, as an async iterator, tells when the inotify
 * descriptor is readable.
 *
 *   bun examples/watch.ts DIRECTORY     ends with Ctrl-C
 */
import { closeSync, readSync } from "node:fs";
import { useReactor } from "../src/index.ts";
import {
  IN_CLOSE_WRITE,
  IN_CREATE,
  IN_DELETE,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_NONBLOCK,
  inotifyAddWatch,
  inotifyEvents,
  inotifyInit,
  POLLIN,
} from "../src/ring/index.ts";

const happenings: [mask: number, what: string][] = [
  [IN_CREATE, "created"],
  [IN_CLOSE_WRITE, "written"],
  [IN_MOVED_FROM, "moved away"],
  [IN_MOVED_TO, "moved here"],
  [IN_DELETE, "deleted"],
];

/**
 * Reads the events that are there, and returns their number of bytes: 0 if an earlier read has
 * taken them already, because a second poll may tell of the same ones.
 */
function readAvailable(fd: number, bytes: Buffer): number {
  try {
    return readSync(fd, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
    throw error;
  }
}

const directory = process.argv[2] ?? ".";
const reactor = useReactor();
const fd = inotifyInit(IN_NONBLOCK);
inotifyAddWatch(
  fd,
  directory,
  happenings.reduce((mask, [bit]) => mask | bit, 0),
);

const readable = reactor.pollMultishot(fd, POLLIN);
// Ends the loop below, wherever it waits.
process.once("SIGINT", () => void readable.return());
console.log(`watching ${directory}`);

const bytes = Buffer.alloc(65536);
for await (const events of readable) {
  if ((events & POLLIN) === 0) break; // An error.
  const count = readAvailable(fd, bytes);
  for (const { mask, name } of inotifyEvents(bytes.subarray(0, count)))
    for (const [bit, what] of happenings) if ((mask & bit) !== 0) console.log(`${name} ${what}`);
}
closeSync(fd);
