/** Returns the latest glibc version that a shared object needs, or undefined if it needs none. */
export function glibcVersion(library: string): string | undefined {
  const { success, stdout, stderr } = Bun.spawnSync(["readelf", "--version-info", library]);
  if (!success) throw new Error(`readelf: ${stderr.toString()}`);
  const versions = [...stdout.toString().matchAll(/GLIBC_([0-9.]+)/g)].map(([, version]) => version!);
  return versions.toSorted((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1);
}
