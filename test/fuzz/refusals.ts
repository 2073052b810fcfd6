/** Names for errors that may come, for a campaign's list. */
import type { Refusal } from "./campaign.ts";

/** An error's class and message. */
export const says = (name: string, kind: string, message: RegExp): Refusal => ({
  name,
  matches: (error) => error.name === kind && message.test(String(error.message)),
});

/** A system's error. */
export const code = (name: string): Refusal => ({ name, matches: (error) => error.code === name });
