/** The latest version of glibc that a shared object asks for; undefined for one that asks for none. */
export function glibcVersion(library: string): string | undefined {
  const { success, stdout, stderr } = Bun.spawnSync(["readelf", "--version-info", library]);
  if (!success) throw new Error(`readelf: ${stderr.toString()}`);
  const versions = [...stdout.toString().matchAll(/GLIBC_([0-9.]+)/g)].map(([, version]) => version!);
  return versions.toSorted((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1);
}
