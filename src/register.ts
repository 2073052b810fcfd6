/**
 * The preload: `bun --preload ringloop/register app.ts` puts ringloop's functions in the place of Bun.serve, Bun.listen, Bun.connect and Bun.udpSocket, for the
 * program and for the Bun processes that it starts (children.ts).
 *
 * The environment variables RINGLOOP and RINGLOOP_LOG say what it does: see sys/environment.ts. What the ring does not serve, Bun still
 * does: node:http, node:net and node:dgram among it, whose servers are made of Bun's functions, with options and methods that those keep to
 * themselves.
 *
 * Every Bun process of a program pays for this file. So it loads next to nothing, and the first call of a function loads the rest.
 */
import { reachChildren } from "./children.ts";
import { installGlobals } from "./http/globals.ts";
import { originals } from "./sys/bun-originals.ts";
import { checkVariables, readVariable } from "./sys/environment.ts";

type Redirected = (options: any) => unknown;

/**
 * Calls ringloop's function, which `load` gives; for one of Node's modules, which is known by an option that nobody else gives, Bun's own.
 */
function redirect(name: keyof typeof originals, load: () => unknown, module?: string, option?: string): void {
  const own = originals[name] as Redirected;
  let ours: Redirected | undefined;
  const redirected: Redirected = (options) => {
    if (option !== undefined && typeof options === "object" && options !== null && option in options) {
      const { notice } = require("./reactor/notice.ts") as typeof import("./reactor/notice.ts");
      notice(`${module} runs on Bun's own, because its servers are made of what Bun keeps to itself`);
      return own(options);
    }
    return (ours ??= load() as Redirected)(options);
  };
  (Bun as unknown as Record<string, unknown>)[name] = redirected;
}

function redirectAll(): void {
  redirect("serve", () => require("./http/server.ts").serve, "node:http", "onNodeHTTPRequest");
  redirect("listen", () => require("./net/listen.ts").listen, "node:net", "pauseOnConnect");
  redirect("connect", () => require("./net/connect.ts").connect);
  redirect("udpSocket", () => require("./net/udp.ts").udpSocket, "node:dgram", "flags");
  // Responses that a program makes before it calls serve, for its routes, are to be remembered too.
  installGlobals();
  // In a bundle this file is the program itself, which is no preload for its children.
  if (import.meta.path.endsWith("/src/register.ts")) reachChildren(import.meta.path);
}

/** Ends the process, for which the user has asked by RINGLOOP=require, where there is no ring. */
function requireRing(): void {
  const { whyNoRing } = require("./reactor/fallback.ts") as typeof import("./reactor/fallback.ts");
  const reason = whyNoRing();
  if (reason !== undefined) refuse(`RINGLOOP is "require", and there is no ring here: ${reason}`);
}

function refuse(reason: string): never {
  console.error(`ringloop: ${reason}`);
  process.exit(1);
}

function main(): void {
  try {
    checkVariables();
  } catch (error) {
    refuse((error as Error).message);
  }
  const wish = readVariable("RINGLOOP");
  if (wish === "off") return;
  if (wish === "require") requireRing();
  redirectAll();
  if (readVariable("RINGLOOP_LOG") === "1")
    console.error("ringloop: Bun.serve, Bun.listen, Bun.connect and Bun.udpSocket are redirected to the ring");
}

main();
