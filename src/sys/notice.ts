/** Notices to the user of a program, on stderr. Each text is printed once for each thread. */
const noticed = new Set<string>();

export function notice(text: string): void {
  if (noticed.has(text)) return;
  noticed.add(text);
  console.warn(`ringloop: ${text}`);
}
