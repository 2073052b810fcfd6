/**
 * Checks a condition that must hold whatever the kernel, the peer or the program does. Throws an
 * Error that names the broken rule.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`ringloop has broken a rule of its own: ${message}`);
}
