/**
 * `npm run test:sanitizers`: runs the driver of the C part under AddressSanitizer,
 * UndefinedBehaviorSanitizer and valgrind. Then it runs the unit tests, and the behaviour tests in
 * both modes, with the sanitized library. Exits 1 unless all passed.
 */
import { TIMEOUT } from "./timeout.ts";
import { withSanitizedLibrary } from "./unit/sanitized-library.ts";

const root = `${import.meta.dir}/..`;

function passes(paths: string[], env: Record<string, string>): boolean {
  const run = Bun.spawnSync([process.execPath, "test", ...TIMEOUT, ...paths], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return run.success;
}

// The driver starts the compiler itself, so it runs without the sanitizer's environment.
const driven = passes(["./test/unit/memory-safety.test.ts"], {});
const rest = withSanitizedLibrary((env) => [
  passes(
    [...new Bun.Glob("test/unit/!(memory-safety).test.ts").scanSync(root)].map((path) => `./${path}`),
    env,
  ),
  ...["defer", "sqpoll"].map((subject) => passes(["./test/behaviour"], { ...env, RINGLOOP_TEST_SUBJECT: subject })),
]);
const ok = driven && rest.every(Boolean);
console.log(ok ? "no error of a sanitizer" : "failed");
process.exit(ok ? 0 : 1);
