/**
 * Full-stack apps with HTML imports. Only Bun's own server serves them, so it serves the whole app.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import page from "./fixtures/page.html";
import { attempt, fixture, Program, run } from "./process.ts";
import { isBun, serve } from "./subject.ts";

const preload = ["--preload", join(import.meta.dir, "../../src/register.ts")];
const notice = `ringloop: serve runs on Bun's own, because the ring does not serve the option "routes with HTML"\n`;

describe.skipIf(isBun)("under the preload an app with an HTML import", () => {
  for (const form of ["routes", "dynamic", "methods", "wildcard", "static"])
    test(`is served as by Bun: ${form}, from its source and from a bundle`, async () => {
      const directory = mkdtempSync(join(tmpdir(), "ringloop-html-"));
      try {
        await run([process.execPath, "build", "--target=bun", fixture("html-app.ts"), "--outdir", directory]);
        for (const app of [fixture("html-app.ts"), join(directory, "html-app.js")]) {
          const env = { TEST_FORM: form };
          const inDirectory = ["--cwd", directory]; // Bun looks there for the files of a bundle.
          const plain = await run([process.execPath, ...inDirectory, app], "", env);
          expect(plain.stdout).toContain("<title>a page</title>");
          const { stdout, stderr } = await run([process.execPath, ...inDirectory, ...preload, app], "", env);
          expect(stdout.split("\n").at(-2)).toBe(plain.stdout.split("\n").at(-2)!);
          expect(stderr).toContain(notice);
        }
      } finally {
        rmSync(directory, { recursive: true });
      }
    });

  test("takes the port of the ring's server when a hot reload brings it, and keeps it when the next takes it away", async () => {
    const directory = mkdtempSync(join(tmpdir(), "ringloop-html-"));
    const path = join(directory, "program.ts");
    const write = (imports: string, route: string): void =>
      writeFileSync(
        path,
        `${imports}
        const server = Bun.serve({
          port: Number(process.env.PORT), hostname: "127.0.0.1", routes: { "/page": ${route} }, fetch: () => new Response("served"),
        });
        const answer = async (path) => (await (await fetch(new URL(path, server.url))).text()).match(/<title>.*(?=<.title>)|^\\w+$/)?.[0];
        console.log(JSON.stringify([await answer("/"), await answer("/page")]));`,
      );
    using free = Bun.listen({ port: 0, hostname: "127.0.0.1", socket: { data() {} } });
    const { port } = free;
    free.stop(true);
    try {
      const plain = `new Response("plain")`;
      write("", plain);
      await using program = new Program([process.execPath, ...preload, "--hot", path], { PORT: String(port) });
      const line = (): Promise<string> => program.text("served");
      expect(await line()).toBe('["served","plain"]');
      write(`import page from ${JSON.stringify(fixture("page.html"))};`, "page");
      expect(await line()).toBe('["served","<title>a page"]');
      write("", plain);
      expect(await line()).toBe('["served","plain"]');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe.skipIf(isBun)("a server on the ring", () => {
  const fetch = (): Response => new Response("served");

  test("is refused an HTML import where it may not be Bun's", () => {
    expect(() => serve({ port: 0, routes: { "/": page } })).toThrow(
      new TypeError("routes with HTML is not served by the ring, and fallback is false"),
    );
  });

  test("is not reloaded with an HTML import, and says which route it is and what to do", async () => {
    const server = serve({ port: 0, hostname: "127.0.0.1", fetch });
    for (const routes of [{ "/a": page }, { "/a": { GET: page } }, { "/a": { index: "./a.html", files: [] } as never }])
      expect(() => server.reload({ routes, fetch } as never)).toThrow(
        new TypeError(
          `the option routes of reload must have no HTML import, as "/a" is: only Bun's own server serves those, so give it to ` +
            "serve, and the whole server is Bun's",
        ),
      );
    expect(await (await globalThis.fetch(server.url)).text()).toBe("served");
    await server.stop(true);
  });

  test("that is not given HTML is not taken for one with it", async () => {
    const { stderr } = await attempt([
      process.execPath,
      ...preload,
      "-e",
      `Bun.serve({ port: 0, routes: { "/": new Response("index"), "/files": { GET: () => new Response() } } }).stop(true);`,
    ]);
    expect(stderr).toBe("");
  });
});
