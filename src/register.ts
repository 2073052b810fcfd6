/**
 * The preload: `bun --preload ringloop/register app.ts` puts ringloop's functions in the place of Bun.serve, Bun.listen, Bun.connect and Bun.udpSocket, for the
 * program and for the Bun processes that it starts (children.ts).
 *
 * The environment variables RINGLOOP and RINGLOOP_LOG say what it does: see sys/environment.ts. What the ring does not serve, Bun still
 * does: node:https, node:net and node:dgram among it, whose servers are made of Bun's functions, with options and methods that those keep to
 * themselves. Those of node:http the ring serves (src/node).
 *
 * Every Bun process of a program pays for this file. So it loads next to nothing, and the first call of a function loads the rest.
 */
import { reachChildren } from "./children.ts";
import { installGlobalsAtFirstUse } from "./http/globals-at-first-use.ts";
import { originals } from "./sys/bun-originals.ts";
import { checkVariables, readVariable } from "./sys/environment.ts";
import { lazily } from "./sys/lazily.ts";

type Redirected = (options: any) => unknown;

const parts = lazily(() => require("./parts.ts") as typeof import("./parts.ts"));

/**
 * Calls ringloop's function of that name. Node's modules are known by an option that nobody else gives: node:http has a function of its own
 * here, the others stay with Bun's own.
 */
function redirect(name: keyof typeof originals, module?: string, option?: string): void {
  const own = originals[name] as Redirected;
  const redirected: Redirected = (options) => {
    if (option !== undefined && typeof options === "object" && options !== null && option in options) {
      if (name === "serve") return parts().serveNode()(options as never);
      parts().notices().notice(`${module} runs on Bun's own, because its servers are made of what Bun keeps to itself`);
      return own(options);
    }
    return (parts()[name]() as Redirected)(options);
  };
  (Bun as unknown as Record<string, unknown>)[name] = redirected;
}

/** In a bundle this file is a part of the program, which is no preload for its children. */
function isOwnFile(path: string): boolean {
  return /\/(src\/register\.ts|dist\/register\.js)$/.test(path) && path !== Bun.main;
}

function redirectAll(): void {
  redirect("serve", "node:http", "onNodeHTTPRequest");
  redirect("listen", "node:net", "pauseOnConnect");
  redirect("connect");
  redirect("udpSocket", "node:dgram", "flags");
  // Responses that a program makes before it calls serve, for its routes, are to be remembered too.
  installGlobalsAtFirstUse(() => parts().globals().installGlobals());
  if (isOwnFile(import.meta.path)) reachChildren(import.meta.path);
}

/** Ends the process, for which the user has asked by RINGLOOP=require, where there is no ring. */
function requireRing(): void {
  const reason = parts().fallback().whyNoRing();
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
