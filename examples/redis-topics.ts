/**
 * Topics across processes: what one publishes reaches the subscribers of all, by way of Redis and the client that comes with Bun.
 *
 * Guarantees: one's own subscribers get a message at once, and once, whether Redis is there or not; the order of each process's messages
 * is kept. While Redis is away the processes are separate, and what they publish then does not reach the others afterwards: Redis keeps
 * nothing of a channel. When it is back they are together again by themselves.
 */
export class RedisTopics {
  /** Messages that did not reach the others, because Redis was away. */
  lost = 0;

  private readonly id = crypto.randomUUID();
  private readonly channel: string;
  private readonly deliver: (topic: string, message: string) => void;
  private readonly sender: Bun.RedisClient;
  private readonly receiver: Bun.RedisClient;
  private isClosed = false;

  /** `deliver` gives a message to the subscribers of this process. */
  constructor(url: string, channel: string, deliver: (topic: string, message: string) => void) {
    this.channel = channel;
    this.deliver = deliver;
    // What cannot be sent now is old news later.
    const options = { autoReconnect: true, maxRetries: 2 ** 31 - 1, enableOfflineQueue: false };
    this.sender = new Bun.RedisClient(url, options);
    this.receiver = new Bun.RedisClient(url, options);
  }

  /** Rejects where Redis cannot be reached. */
  async connect(): Promise<void> {
    await Promise.all([this.sender.connect(), this.receiver.connect()]);
    await this.subscribe();
    // A connection that was made anew knows nothing of the former one's channels.
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
      await this.receiver.unsubscribe(this.channel); // Of the client's own book, where the former listener still is.
      await this.subscribe();
    } catch (error) {
      // Away again: the next connection is the next try.
      if (!this.isClosed) console.error(`redis: ${(error as Error).message}`);
    }
  }
}
