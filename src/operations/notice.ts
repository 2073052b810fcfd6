/** Notices to the user of a program: each text once for each thread, on stderr. */
const noticed = new Set<string>();

export function notice(text: string): void {
  if (noticed.has(text)) return;
  noticed.add(text);
  console.warn(`ringloop: ${text}`);
}
