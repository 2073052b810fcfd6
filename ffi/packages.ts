/**
 * Makes the published packages: `bun ffi/packages.ts` writes to build/packages/ the tarball of
 * ringloop, and one tarball with the shared object for each system. Prints the SHA-256 of each.
 *
 * Guarantees: the same sources, Bun and compilers give the same bytes in every directory. Debian
 * has the compilers (`ffi/setup.sh packages`).
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { packLibrary, packMain } from "./pack.ts";
import { compile, debianRoots, type Target, targets } from "./targets.ts";

const root = join(import.meta.dir, "..");
const output = join(root, "build/packages");

function buildLibrary(target: Target): string {
  const library = join(output, `${target.name}.so`);
  compile(target, library);
  const tarball = packLibrary(
    target,
    library,
    join(debianRoots()[target.debian], "usr/share/doc/liburing-dev/copyright"),
    output,
  );
  rmSync(library);
  return tarball;
}

rmSync(output, { recursive: true, force: true });
mkdirSync(output, { recursive: true });
for (const tarball of [...targets.map(buildLibrary), packMain(output)]) {
  const hash = new Bun.CryptoHasher("sha256").update(readFileSync(tarball)).digest("hex");
  console.log(`${hash}  ${relative(root, tarball)}`);
}
