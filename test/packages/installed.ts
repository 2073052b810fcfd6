/**
 * Tests of the installed packages: of the one that the unit test packs, and of the published ones.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, cpSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { BareRoot, canMakeRoots, type Outcome } from "./bare-root.ts";
import { type Registry, serveRegistry } from "./registry.ts";

const app = `import { serve } from "ringloop";
const server = serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("served") });
const text = fetch(server.url).then((response) => response.text());
void text.then((body) => console.log(body, "ring:", server.ring));
void text.finally(() => server.stop());
`;
const unmodified = app.replace(/^import .*\n/, "").replace("serve(", "Bun.serve(");
const served = { stdout: "served ring: true\n", stderr: "", exitCode: 0 };

/**
 * `files`: Bun and its libraries. `packages`: the directory with the tarballs. `isShort`: leaves
 * out tests that need a second build of the same kind.
 */
export function testInstalled(
  name: string,
  files: () => Record<string, string>,
  packages: () => string,
  isShort = false,
): void {
  describe.skipIf(!canMakeRoots)(`in a root with nothing but ${name}`, () => {
    /** The root in which the packages are installed. */
    let installed: BareRoot;
    /** A root that has only the files which the tests move there. */
    let bare: BareRoot;
    let registry: Registry;
    const bun = (...args: string[]): Promise<Outcome> => installed.run(["/bin/bun", "--cwd=/home/app", ...args]);
    const build = async (...args: string[]): Promise<void> => {
      const { exitCode, stderr } = await bun("build", ...args, "app.ts");
      if (exitCode !== 0) throw new Error(stderr);
    };

    beforeAll(async () => {
      installed = new BareRoot(files());
      bare = new BareRoot(files());
      registry = await serveRegistry(packages());
      mkdirSync(installed.path("/home/app"));
      await Bun.write(installed.path("/home/app/package.json"), '{ "name": "app", "type": "module" }');
      await Bun.write(installed.path("/home/app/app.ts"), app);
      installed.giveToNobody("/home/app", "/home/app/package.json");
      const added = await bun("add", "ringloop", `--registry=${registry.url}`);
      if (added.exitCode !== 0) throw new Error(added.stderr);
    });

    afterAll(() => {
      registry[Symbol.dispose]();
      installed[Symbol.dispose]();
      bare[Symbol.dispose]();
    });

    test("the one shared object for the system is installed", () => {
      const names = readdirSync(installed.path("/home/app/node_modules/@ringloop"));
      expect(names).toEqual([expect.stringMatching(/^linux-(x64|arm64)-(glibc|musl)$/)]);
    });

    test("an app of five lines runs on the ring", async () => {
      expect(await bun("app.ts")).toEqual(served);
    });

    test("an app that knows nothing of ringloop runs on it under the preload", async () => {
      await Bun.write(installed.path("/home/app/unmodified.ts"), unmodified);
      expect(await bun("--preload", "ringloop/register", "unmodified.ts")).toEqual(served);
    });

    test("the command says that ringloop runs here", async () => {
      const { stdout, exitCode } = await bun("node_modules/.bin/ringloop", "doctor", "--json");
      expect({ runs: JSON.parse(stdout).runs, exitCode }).toEqual({ runs: true, exitCode: 0 });
    });

    test("without the shared object a program asks no registry for it when it runs, and says how to build it", async () => {
      // Without a node_modules directory, Bun installs the imported packages by itself.
      cpSync(installed.path("/home/app/node_modules/ringloop"), installed.path("/opt/ringloop"), { recursive: true });
      await Bun.write(installed.path("/tmp/app.ts"), unmodified);
      const before = registry.asked.length;
      const command = ["/bin/bun", "--preload=/opt/ringloop/dist/register.js", "--cwd=/tmp", "app.ts"];
      const { stdout, stderr } = await installed.run(command, { BUN_CONFIG_REGISTRY: registry.url });
      expect(stdout).toBe("served ring: false\n");
      expect(stderr).toContain("Build it with: bun /opt/ringloop/ffi/build.ts --force");
      expect(registry.asked.slice(before)).toEqual([]);
    });

    test.skipIf(isShort)("tarballs are enough where there is no registry", async () => {
      const [own] = readdirSync(installed.path("/home/app/node_modules/@ringloop"));
      const tarballs = readdirSync(packages()).filter((file) => file.match(`^ringloop-(${own}-)?[0-9.]+tgz$`));
      expect(tarballs).toHaveLength(2);
      mkdirSync(installed.path("/home/other"));
      await Bun.write(installed.path("/home/other/package.json"), '{ "name": "other", "type": "module" }');
      await Bun.write(installed.path("/home/other/app.ts"), app);
      installed.giveToNobody("/home/other", "/home/other/package.json");
      for (const file of tarballs) copyFileSync(`${packages()}/${file}`, installed.path(`/home/other/${file}`));
      const paths = tarballs.map((file) => `./${file}`);
      // No server listens on port 1.
      const nowhere = "--registry=http://127.0.0.1:1/";
      const other = { BUN_INSTALL_CACHE_DIR: "/tmp/other-cache" };
      const added = await installed.run(["/bin/bun", "--cwd=/home/other", "add", ...paths, nowhere], other);
      expect(added).toMatchObject({ exitCode: 0 });
      expect(await installed.run(["/bin/bun", "--cwd=/home/other", "app.ts"])).toEqual(served);
    });

    for (const options of isShort ? [[]] : [[], ["--minify", "--bytecode"]])
      test(`the app as a bundle (${["bun build", ...options].join(" ")}) runs on the ring elsewhere, in a directory with a space that is read-only`, async () => {
        await build("--target=bun", "--outdir=out", ...options);
        const place = `/a place ${options.length}`;
        renameSync(installed.path("/home/app/out"), bare.path(place));
        expect(await bare.run(["/bin/bun", `${place}/app.js`], {}, true)).toEqual(served);
      });

    for (const options of isShort ? [] : [[], ["--bytecode"]])
      test(`a bundle (${["bun build", ...options].join(" ")}) with the preload in it is redirected, and is no preload of its children`, async () => {
        const text = `import "ringloop/register";\n${unmodified}\nconsole.log(process.env.BUN_OPTIONS);`;
        await Bun.write(installed.path("/home/app/app.ts"), text);
        await build("--target=bun", "--outdir=out", ...options).finally(() =>
          Bun.write(installed.path("/home/app/app.ts"), app),
        );
        expect(await bun("out/app.js")).toEqual({ ...served, stdout: `undefined\n${served.stdout}` });
      });

    test("the app as an executable runs on the ring elsewhere, where nothing can be written to", async () => {
      await build("--compile", "--outfile=compiled");
      renameSync(installed.path("/home/app/compiled"), bare.path("/an app"));
      expect(await bare.run(["/an app"], {}, true)).toEqual(served);
      if (!isShort) expect(await bare.run(["/an app"])).toEqual(served);
    });

    test.skipIf(isShort)("an executable that was compiled without the shared object says what to do", async () => {
      const modules = installed.path("/home/app/node_modules");
      renameSync(`${modules}/@ringloop`, `${modules}/.away`);
      await build("--compile", "--outfile=without").finally(() =>
        renameSync(`${modules}/.away`, `${modules}/@ringloop`),
      );
      renameSync(installed.path("/home/app/without"), bare.path("/without"));
      const { stdout, stderr } = await bare.run(["/without"]);
      expect(stdout).toBe("served ring: false\n");
      const [own] = readdirSync(`${modules}/@ringloop`);
      expect(stderr).toContain(`Where this program is bundled or compiled, add the package @ringloop/${own} (bun add `);
      copyFileSync(`${modules}/@ringloop/${own}/libringloop.so`, bare.path("/given.so"));
      expect(await bare.run(["/without"], { RINGLOOP_LIBRARY: "/given.so" })).toEqual(served);
    });
  });
}
