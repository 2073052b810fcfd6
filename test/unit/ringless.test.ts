/** The functions that need no ring. */
import { expect, test } from "bun:test";
import {
  getProbe,
  IORING_FEAT_NODROP,
  IORING_OP_EPOLL_WAIT,
  IORING_OP_NOP,
  IORING_REGISTER_QUERY,
  IORING_SETUP_R_DISABLED,
  IORING_SETUP_SQPOLL,
  IOSQE_FIXED_FILE,
  queryOpcodes,
  queryScq,
  queryZcrx,
  registerSyncMsg,
  Ring,
} from "../../src/ring/index.ts";
import { nextCompletions, testWith } from "./ring-kinds.ts";

const codeOf = (call: () => unknown): unknown => {
  try {
    return call();
  } catch (error) {
    return (error as { code: string }).code;
  }
};
/** Whether the kernel has queries. Linux 6.18 has them; an older kernel answers EINVAL. */
const hasQuery = codeOf(queryOpcodes) !== "EINVAL";

test.if(hasQuery)("the kernel tells its opcodes and flags", () => {
  const { requestOpcodes, registerOpcodes, queryOpcodes: queries, featureFlags, setupFlags, sqeFlags } = queryOpcodes();
  expect(requestOpcodes).toBe(getProbe().lastOp + 1);
  expect(registerOpcodes).toBeGreaterThan(IORING_REGISTER_QUERY);
  expect([featureFlags & IORING_FEAT_NODROP, setupFlags & IORING_SETUP_SQPOLL, sqeFlags & IOSQE_FIXED_FILE]).toEqual([
    IORING_FEAT_NODROP,
    IORING_SETUP_SQPOLL,
    IOSQE_FIXED_FILE,
  ]);
  for (const [i, query] of [queryZcrx, queryScq].entries())
    if (queries <= i + 1) expect(codeOf(query)).toBe("EOPNOTSUPP");
    else expect(Object.values(query()).every((value) => Number.isSafeInteger(value))).toBe(true);
});

testWith(IORING_OP_EPOLL_WAIT)("a message goes into a ring at once, from a thread that has none", () => {
  using ring = Ring.queueInit(2);
  registerSyncMsg((sqe) => sqe.prepMsgRing(ring.fd, 42, 1, 2));
  expect(nextCompletions(ring, 1)).toEqual([{ data: 0x2_0000_0001n, res: 42, flags: 0 }]);
});

testWith(IORING_OP_EPOLL_WAIT)("a message that no ring takes is an error", () => {
  using disabled = Ring.queueInit(2, IORING_SETUP_R_DISABLED);
  expect(codeOf(() => registerSyncMsg((sqe) => sqe.prepMsgRing(disabled.fd, 1, 0, 0)))).toBe("EBADFD");
  expect(codeOf(() => registerSyncMsg((sqe) => sqe.prepMsgRing(1, 1, 0, 0)))).toBe("EBADFD");
  expect(codeOf(() => registerSyncMsg((sqe) => sqe.prepNop()))).toBe("EINVAL");
  expect(codeOf(() => registerSyncMsg(IORING_OP_NOP as never))).toBe("ERR_INVALID_ARG_TYPE");
});
