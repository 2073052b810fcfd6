/** The type of an operation on user memory, for the code that picks one at random. */
import type { Step } from "./campaign.ts";
import type { Changing, Takes, UserMemory } from "./user-memory.ts";

export interface MemoryOperation {
  name: string;
  /** How often the operation is picked, relative to others. Default 10. */
  weight?: number;
  takes: Takes;
  /** Largest length of the memory. */
  bytesMax: number;
  /** Runs the operation with the memory inside of `changing.under`, and checks all its results. */
  run(step: Step, memory: UserMemory, changing: Changing): Promise<void>;
}

/** A group of operations that share files or servers. */
export interface Area {
  operations: MemoryOperation[];
  close(): Promise<void> | void;
}
