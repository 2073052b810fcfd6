/**
 * The chat in several processes. Start `PORT=3000 bun examples/chat-cluster.ts` and
 * `PORT=3001 bun examples/chat-cluster.ts`, with a Redis server at REDIS_URL (default:
 * redis://127.0.0.1:6379). All processes share the rooms.
 */
import { serve, useReactor } from "../src/index.ts";
import { chat, type Member } from "./chat.ts";
import { options } from "./options.ts";
import { RedisTopics } from "./redis-topics.ts";

const { port, mode } = options({ port: Number(process.env.PORT ?? 3000) });
const url = process.env.REDIS_URL ?? "redis://127.0.0.1:6379";
const topics = new RedisTopics(url, "chat", (room, text) => void server.publish(room, text));
await topics.connect();
const server = serve<Member>({
  port,
  mode,
  ...chat((room, line) => topics.publish(room, JSON.stringify(line))),
} as never);
console.log(`${server.url}, ${useReactor().info.mode}`);
