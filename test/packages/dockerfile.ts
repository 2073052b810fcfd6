/**
 * The Dockerfile of docs/deploy.md. Its steps run without Docker, in a root directory that contains
 * only Bun and the C library, from the packages. So a step that needs a compiler, a shell or any
 * other program fails.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { freePort } from "../../bench/runner/free-port.ts";
import { BareRoot, canMakeRoots } from "./bare-root.ts";
import { blockOf } from "./deploy-page.ts";
import { type Registry, serveRegistry } from "./registry.ts";

/** Returns what follows an instruction, for each time that it is there. */
function instructions(name: string, dockerfile: string): string[] {
  return [...dockerfile.matchAll(new RegExp(`^${name} (.*)$`, "gm"))].map(([, rest]) => rest!);
}

/**
 * `files`: Bun and its libraries, for the root. `packages`: the directory with the tarballs of
 * ringloop.
 */
export function testDockerfile(files: () => Record<string, string>, packages: () => string): void {
  describe.skipIf(!canMakeRoots)("the Dockerfile of docs/deploy.md", () => {
    let registry: Registry;
    let image: BareRoot;
    let context: BareRoot;
    let dockerfile: string;
    const inApp = ([program, ...rest]: string[]): string[] => [`/bin/${program}`, "--cwd=/app", ...rest];
    const env = (): Record<string, string> => ({ BUN_CONFIG_REGISTRY: registry.url });

    beforeAll(async () => {
      dockerfile = blockOf("FROM", "dockerfile").replaceAll("3000", `${await freePort()}`);
      registry = await serveRegistry(packages());
      context = new BareRoot(files());
      image = new BareRoot(files());
      for (const root of [context, image]) {
        mkdirSync(root.path("/app"));
        root.giveToNobody("/app");
      }
      // The project of the user: its lockfile, and the page's server.
      writeFileSync(context.path("/app/package.json"), '{ "name": "app", "type": "module" }');
      context.giveToNobody("/app/package.json");
      const added = await context.run(inApp(["bun", "add", "ringloop"]), env());
      if (added.exitCode !== 0) throw new Error(added.stderr);
      writeFileSync(context.path("/app/server.ts"), blockOf("serve({", "ts"));
    });
    afterAll(() => {
      registry[Symbol.dispose]();
      context[Symbol.dispose]();
      image[Symbol.dispose]();
    });

    test("installs, serves on the ring in a root that is read-only, is healthy, and ends by SIGTERM", async () => {
      expect(instructions("FROM", dockerfile)).toEqual([`oven/bun:${Bun.version}`]);
      expect(instructions("WORKDIR", dockerfile)).toEqual(["/app"]);
      for (const line of instructions("COPY", dockerfile))
        for (const name of line.split(" ").slice(0, -1))
          copyFileSync(context.path(`/app/${name}`), image.path(`/app/${name}`));
      for (const line of instructions("RUN", dockerfile)) {
        const { exitCode, stderr } = await image.run(inApp(line.split(" ")), env());
        expect([exitCode, stderr]).toEqual([0, expect.not.stringContaining("error")]);
      }
      const variables = Object.fromEntries(
        instructions("ENV", dockerfile)
          .flatMap((line) => line.split(" "))
          .map((pair) => pair.split("=") as [string, string]),
      );
      expect(variables.RINGLOOP).toBe("require");
      const [command] = instructions("CMD", dockerfile).map((line) => inApp(JSON.parse(line)));
      const [check] = instructions("HEALTHCHECK CMD", dockerfile).map((line) => inApp(JSON.parse(line)));
      expect((await image.run(check!, variables)).exitCode).toBe(1);
      await using server = image.start(command!, variables, true);
      while ((await image.run(check!, variables, true)).exitCode !== 0)
        if (server.exitCode !== null) throw new Error(await server.stderr.text());
      server.kill("SIGTERM");
      expect([await server.exited, await server.stdout.text(), await server.stderr.text()]).toEqual([
        0,
        "ring: true\n",
        "",
      ]);
    });
  });
}
