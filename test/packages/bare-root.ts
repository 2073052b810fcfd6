/**
 * A root directory that contains only Bun and the C library: no shell, no compiler, no headers, no
 * /etc. Programs in it run as the user nobody.
 *
 * To make one needs the rights of root (mount(2), chroot(2)). Its files are in a directory of this
 * system. The mounts exist as long as a program runs in it.
 */
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const NOBODY = 65534;

export const canMakeRoots =
  process.getuid?.() === 0 && Bun.spawnSync(["unshare", "--mount", "true"], { stderr: "ignore" }).success;

export interface Outcome {
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** Returns the files of this system's Bun and of its libraries, by their paths in the root. */
export function ownBun(): Record<string, string> {
  const printed = Bun.spawnSync(["ldd", process.execPath]).stdout.toString();
  const libraries = [...printed.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path!);
  return { "/bin/bun": process.execPath, ...Object.fromEntries(libraries.map((path) => [path, realpathSync(path)])) };
}

export class BareRoot implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "ringloop-root-"));
  private readonly mounts: string[] = [];

  /** `files`: files of this system that are visible in the root, by their paths in the root. */
  constructor(files: Record<string, string>) {
    chmodSync(this.directory, 0o755);
    for (const name of ["proc", "dev", "tmp", "home"]) mkdirSync(join(this.directory, name));
    this.giveToNobody("/tmp", "/home");
    this.mounts.push(`mount --rbind /proc ${this.directory}/proc`);
    for (const device of ["null", "zero", "urandom"]) this.show(`/dev/${device}`, `/dev/${device}`);
    for (const [inside, outside] of Object.entries(files)) this.show(inside, outside);
  }

  private show(inside: string, outside: string): void {
    const target = join(this.directory, inside);
    mkdirSync(dirname(target), { recursive: true });
    if (!existsSync(target)) writeFileSync(target, "");
    this.mounts.push(`mount --bind '${outside}' '${target}'`);
  }

  /** Returns the path on this system of a file in the root. */
  path(inside: string): string {
    return join(this.directory, inside);
  }

  giveToNobody(...inside: string[]): void {
    for (const path of inside) chownSync(this.path(path), NOBODY, NOBODY);
  }

  /** Runs a program to its end: see `start`. */
  async run(command: string[], env: Record<string, string> = {}, isReadOnly = false): Promise<Outcome> {
    await using child = this.start(command, env, isReadOnly);
    const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { stdout, stderr, exitCode };
  }

  /**
   * Starts a program in the root, by its path there, as the user nobody. `isReadOnly`: whether the
   * whole root is read-only, also /tmp. The process becomes the program, so signals reach it.
   */
  start(
    command: string[],
    env: Record<string, string> = {},
    isReadOnly = false,
  ): Bun.Subprocess<"ignore", "pipe", "pipe"> {
    const steps = [`mount --bind ${this.directory} ${this.directory}`, ...this.mounts];
    if (isReadOnly) steps.push(`mount -o remount,bind,ro ${this.directory}`);
    const inside = `exec chroot --userspec=${NOBODY}:${NOBODY} --groups= ${this.directory} "$@"`;
    const script = ["set -e", ...steps, inside].join("\n");
    const unshared = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"];
    return Bun.spawn([...unshared, ...command], {
      env: { PATH: "/bin:/usr/bin:/sbin:/usr/sbin", HOME: "/home", BUN_INSTALL_CACHE_DIR: "/tmp/cache", ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
