/** What single steps cost, each beside the obvious alternative: `bun bench/micro.ts`. */
import { bench, group, run } from "mitata";
import { IORING_OP_SEND, Mapping, Ring } from "../src/ring/index.ts";

const ring = Ring.queueInit(256);
const sqes = Array.from({ length: 256 }, () => ring.getSqe()!);
const memory = new Mapping(4096);
const view = new DataView(new ArrayBuffer(64));
let next = 0;

group("a send, written into the queue", () => {
  bench("ringloop: u32 stores in the mapped ring", () => {
    sqes[next++ & 255]!.prepSend(7, memory.address, 64, 0).setUserData(1, 2);
  });
  bench("DataView with BigInt", () => {
    view.setUint8(0, IORING_OP_SEND);
    view.setUint8(1, 0);
    view.setUint16(2, 0, true);
    view.setInt32(4, 7, true);
    view.setBigUint64(8, 0n, true);
    view.setBigUint64(16, BigInt(memory.address), true);
    view.setUint32(24, 64, true);
    view.setUint32(28, 0, true);
    view.setBigUint64(32, 0x2_0000_0001n, true);
    view.setBigUint64(40, 0n, true);
    view.setBigUint64(48, 0n, true);
    view.setBigUint64(56, 0n, true);
  });
});

const working = Ring.queueInit(256);
const batch = new Int32Array(256 * 4);

function submitNops(count: number): void {
  for (let i = 0; i < count; i++) working.getSqe()!.prepNop().setUserData(i, 0);
  working.submitAndWait(count);
}

group("64 nops, there and back", () => {
  bench("reap into a batch", () => {
    submitNops(64);
    if (working.reap(batch) !== 64) throw new Error("completions are missing");
  });
  bench("forEachCqe and cqAdvance", () => {
    submitNops(64);
    let sum = 0;
    working.cqAdvance(working.forEachCqe((cqe) => (sum += cqe.userDataLow)));
    if (sum !== 2016) throw new Error("completions are missing");
  });
  bench("peekCqe and cqeSeen, one by one", () => {
    submitNops(64);
    for (let i = 0; i < 64; i++) {
      if (working.peekCqe()!.userDataLow !== i) throw new Error("completions are out of order");
      working.cqeSeen();
    }
  });
});

await run();
