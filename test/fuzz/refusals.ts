/** Descriptions of allowed errors, for the list of a campaign. */
import type { Refusal } from "./campaign.ts";

/** Matches the class and the message of an error. */
export const says = (name: string, kind: string, message: RegExp): Refusal => ({
  name,
  matches: (error) => error.name === kind && message.test(String(error.message)),
});

/** Matches the code of a system error. */
export const code = (name: string): Refusal => ({ name, matches: (error) => error.code === name });
