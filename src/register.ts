/**
 * The preload: `bun --preload ringloop/register app.ts` replaces Bun.serve, Bun.listen, Bun.connect
 * and Bun.udpSocket by ringloop's functions. It does so for the program and for the Bun processes
 * that the program starts (children.ts).
 *
 * The environment variables RINGLOOP and RINGLOOP_LOG control the preload: see sys/environment.ts.
 * Bun still does everything that the ring does not serve. This includes node:https, node:net and
 * node:dgram: their servers use Bun's functions with internal options and methods. The ring serves
 * the servers of node:http (src/node).
 *
 * Every Bun process of a program loads this file. So it loads very little itself, and the first
 * call of a function loads the rest.
 */
import { reachChildren } from "./children.ts";
import { installGlobalsAtFirstUse } from "./bun/serve/globals-at-first-use.ts";
import { isUnbundled, parts } from "./loading.ts";
import { originals } from "./sys/bun-originals.ts";
import { checkVariables, readVariable } from "./sys/environment.ts";

type Redirected = (options: any) => unknown;

/**
 * Redirects a function of Bun to ringloop's function of the same name. Calls of one of Node's
 * modules are known by an option that no other code gives. node:http has a function of its own
 * here; the others still go to Bun.
 */
function redirect(name: keyof typeof originals, module?: string, option?: string): void {
  const own = originals[name] as Redirected;
  const redirected: Redirected = (options) => {
    if (option !== undefined && typeof options === "object" && options !== null && option in options) {
      if (name === "serve") return parts().serveNode()(options as never);
      parts().notices().noticeFallback(module!, "its servers are made of what Bun keeps to itself");
      return own(options);
    }
    return (parts()[name]() as Redirected)(options);
  };
  Object.defineProperty(redirected, "name", { value: name, configurable: true });
  (Bun as unknown as Record<string, unknown>)[name] = redirected;
}

/**
 * Whether `path` is this file in the package. In a bundle, this file is a part of the program, and
 * cannot be a preload for its children.
 */
function isOwnFile(path: string): boolean {
  return isUnbundled && /\/(src\/register\.ts|dist\/register\.js)$/.test(path) && path !== Bun.main;
}

function redirectAll(): void {
  redirect("serve", "node:http", "onNodeHTTPRequest");
  redirect("listen", "node:net", "pauseOnConnect");
  redirect("connect");
  redirect("udpSocket", "node:dgram", "flags");
  // A program may make responses for its routes before it calls serve. These must be remembered
  // too.
  installGlobalsAtFirstUse(() => parts().globals().installGlobals());
  if (isOwnFile(import.meta.path)) reachChildren(import.meta.path);
}

/** Ends the process if there is no ring. The user has asked for this by RINGLOOP=require. */
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
