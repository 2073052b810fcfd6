/**
 * A server without free descriptors neither spins nor dies. It goes on when some are free again.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { fixture, Program } from "./process.ts";
import { RawClient } from "./raw-client.ts";
import { isBun } from "./subject.ts";

/** Returns the CPU time that a process has used, in clock ticks. */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

const request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

test.skipIf(isBun)(
  "out of descriptors a server goes on with whom it has, and takes others when it can",
  async () => {
    const command = `ulimit -n 64; exec ${process.execPath} ${fixture("server.ts")}`;
    await using program = new Program(["bash", "-c", command]);
    const { port } = await program.line();
    // The kernel completes connections that the server does not accept.
    const clients = await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(port)));
    for (const client of clients) await client.write(request);
    const answers = clients.map((client) => client.readResponse());
    let served = 0;
    const enough = Promise.withResolvers<void>();
    for (const answer of answers)
      void answer.then(
        () => ++served === 20 && enough.resolve(),
        () => {},
      );
    await enough.promise;

    // The server rests. Its CPU time of one second is measured from outside.
    const before = ticks(program.pid);
    await Bun.sleep(1000);
    // The server tries again every 250 ms. After each try, an SQ thread stays awake for 10 ms. A
    // server that spins would use 100 ticks.
    expect(ticks(program.pid) - before).toBeLessThan(40);
    expect(served).toBeLessThan(64);
    const first = clients[0]!;
    await first.write(request);
    expect((await first.readResponse()).status).toBe(200);

    // Each client that leaves makes room for another, until all are served.
    for (let i = 0; i < clients.length; i++) {
      expect((await answers[i]!).status).toBe(200);
      clients[i]![Symbol.dispose]();
    }
    expect(program.running).toBe(true);
  },
  20000,
);
