/**
 * What a promise is rejected with. In place of `expect(promise).rejects`, which runs Bun's loop until the promise is settled: called from
 * inside a turn of the ring, it would wait for a completion that this turn alone can dispatch.
 */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("the promise was not rejected");
}
