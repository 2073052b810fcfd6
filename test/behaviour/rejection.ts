/**
 * Returns the error with which the promise rejects. It replaces `expect(promise).rejects`, which
 * runs Bun's loop until the promise is settled. Inside a turn of the ring, that would wait for a
 * completion that only this turn can dispatch.
 */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("the promise was not rejected");
}
