/**
 * Topics across processes: a message that one process publishes reaches the subscribers of all
 * processes. It goes through Redis, with the client that comes with Bun.
 *
 * Guarantees: the subscribers of the same process get a message at once, and once, with or without
 * Redis. The messages of each process keep their order.
 *
 * While Redis is away, the processes are separate. The messages of that time do not reach the other
 * processes later, because Redis stores nothing for a channel. When Redis is back, the processes
 * connect again by themselves.
 */
export class RedisTopics {
  /** Number of messages that did not reach the other processes, because Redis was away. */
  lost = 0;

  private readonly id = crypto.randomUUID();
  private readonly channel: string;
  private readonly deliver: (topic: string, message: string) => void;
  private readonly sender: Bun.RedisClient;
  private readonly receiver: Bun.RedisClient;
  private isClosed = false;

  /** Makes the topics. `deliver` gives a message to the subscribers of this process. */
  constructor(url: string, channel: string, deliver: (topic: string, message: string) => void) {
    this.channel = channel;
    this.deliver = deliver;
    // A message that cannot be sent now is too old later, so there is no offline queue.
    const options = { autoReconnect: true, maxRetries: 2 ** 31 - 1, enableOfflineQueue: false };
    this.sender = new Bun.RedisClient(url, options);
    this.receiver = new Bun.RedisClient(url, options);
  }

  /** Connects to Redis. Rejects if Redis cannot be reached. */
  async connect(): Promise<void> {
    await Promise.all([this.sender.connect(), this.receiver.connect()]);
    await this.subscribe();
    // A new connection does not know the channels of the former one.
    this.receiver.onconnect = () => void this.resubscribe();
  }

  publish(topic: string, message: string): void {
    this.deliver(topic, message);
    this.sender.publish(this.channel, JSON.stringify([this.id, topic, message])).catch(() => this.lost++);
  }

  close(): void {
    this.isClosed = true;
    this.sender.close();
    this.receiver.close();
  }

  private async subscribe(): Promise<void> {
    await this.receiver.subscribe(this.channel, (text) => {
      const [id, topic, message] = JSON.parse(text) as [string, string, string];
      if (id !== this.id) this.deliver(topic, message);
    });
  }

  private async resubscribe(): Promise<void> {
    try {
      // Removes the former listener, which is still in the client's list.
      await this.receiver.unsubscribe(this.channel);
      await this.subscribe();
    } catch (error) {
      // Redis is away again. The next connection tries again.
      if (!this.isClosed) console.error(`redis: ${(error as Error).message}`);
    }
  }
}
