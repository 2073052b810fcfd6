/**
 * The preload: `bun --preload ringloop/register app.ts` puts ringloop's functions in the place of Bun.serve, Bun.listen, Bun.connect and Bun.udpSocket, for the
 * program and for the Bun processes that it starts.
 *
 * RINGLOOP=off does nothing. RINGLOOP_LOG=1 says on stderr what was redirected. What the ring does not serve, Bun still does.
 */
import { serve } from "./http/server.ts";
import { installGlobals } from "./http/globals.ts";
import { connect } from "./net/connect.ts";
import { listen } from "./net/listen.ts";
import { udpSocket } from "./net/udp.ts";
import "./sys/bun-originals.ts";

if (process.env.RINGLOOP !== "off") {
  Bun.serve = serve as unknown as typeof Bun.serve;
  Bun.listen = listen as unknown as typeof Bun.listen;
  Bun.connect = connect as unknown as typeof Bun.connect;
  Bun.udpSocket = udpSocket as unknown as typeof Bun.udpSocket;
  // Responses that a program makes before it calls serve, for its routes, are to be remembered too.
  installGlobals();
  const preload = `--preload ${import.meta.path}`;
  const options = process.env.BUN_OPTIONS ?? "";
  if (!options.includes(preload)) process.env.BUN_OPTIONS = `${options} ${preload}`.trim();
  if (process.env.RINGLOOP_LOG === "1")
    console.error("ringloop: Bun.serve, Bun.listen, Bun.connect and Bun.udpSocket are redirected to the ring");
}
