/**
 * The preload: `bun --preload ringloop/register app.ts` puts ringloop's functions in the place of Bun.serve, Bun.listen, Bun.connect and Bun.udpSocket, for the
 * program and for the Bun processes that it starts.
 *
 * RINGLOOP=off does nothing. RINGLOOP_LOG=1 says on stderr what was redirected. What the ring does not serve, Bun still does: node:http,
 * node:net and node:dgram among it, whose servers are made of Bun's functions, with options and methods that those keep to themselves.
 */
import { serve } from "./http/server.ts";
import { installGlobals } from "./http/globals.ts";
import { connect } from "./net/connect.ts";
import { listen } from "./net/listen.ts";
import { udpSocket } from "./net/udp.ts";
import { notice } from "./reactor/fallback.ts";
import { originals } from "./sys/bun-originals.ts";

/** Calls Bun's own function for one of Node's modules, which is known by an option that nobody else gives. */
function redirected<Function extends (options: any) => unknown>(
  ours: Function,
  own: Function,
  module: string,
  option: string,
): Function {
  return ((options) => {
    if (typeof options !== "object" || options === null || !(option in options)) return ours(options);
    notice(`${module} runs on Bun's own, because its servers are made of what Bun keeps to itself`);
    return own(options);
  }) as Function;
}

if (process.env.RINGLOOP !== "off") {
  Bun.serve = redirected(serve as unknown as typeof Bun.serve, originals.serve, "node:http", "onNodeHTTPRequest");
  Bun.listen = redirected(listen as unknown as typeof Bun.listen, originals.listen, "node:net", "pauseOnConnect");
  Bun.connect = connect as unknown as typeof Bun.connect;
  Bun.udpSocket = redirected(udpSocket as unknown as typeof Bun.udpSocket, originals.udpSocket, "node:dgram", "flags");
  // Responses that a program makes before it calls serve, for its routes, are to be remembered too.
  installGlobals();
  const preload = `--preload ${import.meta.path}`;
  const options = process.env.BUN_OPTIONS ?? "";
  if (!options.includes(preload)) process.env.BUN_OPTIONS = `${options} ${preload}`.trim();
  if (process.env.RINGLOOP_LOG === "1")
    console.error("ringloop: Bun.serve, Bun.listen, Bun.connect and Bun.udpSocket are redirected to the ring");
}
