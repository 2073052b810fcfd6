/**
 * Files of Debian packages for other machines than this one, without an installation: liburing's
 * archive, and musl.
 *
 * Guarantees: the system's packages and apt's own state stay as they are. apt checks the signatures
 * of the downloads.
 */
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

/** Debian's names of the machines. */
export type Architecture = "amd64" | "arm64";

function run(command: string[], directory: string): void {
  const { success, stderr } = Bun.spawnSync(command, { cwd: directory, stdout: "ignore", stderr: "pipe" });
  if (!success) throw new Error(`${command.slice(0, 3).join(" ")}: ${stderr.toString().trim()}`);
}

/**
 * Unpacks the packages below `directory`, by machine, unless they exist. Returns the root
 * directories.
 */
export function unpackPackages(
  names: readonly string[],
  architectures: readonly Architecture[],
  directory: string,
): Record<Architecture, string> {
  const root = (architecture: Architecture): string => join(directory, architecture);
  if (!architectures.every((architecture) => existsSync(root(architecture)))) {
    const temporary = `${directory}.${process.pid}`;
    try {
      download(names, architectures, temporary);
      for (const architecture of architectures) {
        const unpacked = join(temporary, "root", architecture);
        mkdirSync(unpacked, { recursive: true });
        for (const file of new Bun.Glob(`*_${architecture}.deb`).scanSync({ cwd: temporary, absolute: true }))
          run(["dpkg-deb", "-x", file, unpacked], temporary);
      }
      rmSync(directory, { recursive: true, force: true });
      renameSync(join(temporary, "root"), directory);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  }
  return { amd64: root("amd64"), arm64: root("arm64") };
}

/** Downloads the packages with an apt that knows both machines, and has its own lists and cache. */
function download(names: readonly string[], architectures: readonly Architecture[], directory: string): void {
  const lists = join(directory, "lists");
  const sources = join(directory, "sources.list.d");
  mkdirSync(join(lists, "partial"), { recursive: true });
  mkdirSync(join(directory, "archives/partial"), { recursive: true });
  mkdirSync(sources);
  // Only Debian's own archive is used. Other sources may not have packages for the other machine.
  const own = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"].find(existsSync);
  if (own === undefined) throw new Error("this system has no list of Debian's archive below /etc/apt");
  cpSync(own, join(sources, own.endsWith(".sources") ? "debian.sources" : "debian.list"));
  const options = {
    "APT::Architectures": architectures.join(","),
    "APT::Sandbox::User": "root",
    "Dir::State::lists": lists,
    "Dir::Cache": directory,
    "Dir::Etc::sourcelist": "/dev/null",
    "Dir::Etc::sourceparts": sources,
  };
  const apt = ["apt-get", "-qq", ...Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`])];
  run([...apt, "update"], directory);
  const wanted = architectures.flatMap((architecture) => names.map((name) => `${name}:${architecture}`));
  run([...apt, "download", ...wanted], directory);
}
