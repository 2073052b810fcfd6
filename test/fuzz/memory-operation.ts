/** What an operation on user memory is, to whoever picks one at random. */
import type { Step } from "./campaign.ts";
import type { Changing, Takes, UserMemory } from "./user-memory.ts";

export interface MemoryOperation {
  name: string;
  /** Picked so often. Default 10. */
  weight?: number;
  takes: Takes;
  /** Of memory, at most. */
  bytesMax: number;
  /** Calls `changing.under` around what is given the memory, and looks at everything that comes of it. */
  run(step: Step, memory: UserMemory, changing: Changing): Promise<void>;
}

/** Operations that share files or servers. */
export interface Area {
  operations: MemoryOperation[];
  close(): Promise<void> | void;
}
