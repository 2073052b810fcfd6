/**
 * llhttp, the HTTP parser of Node.js, as a `Reader`. It is the WebAssembly build in undici, in
 * strict mode, as a parser of requests.
 *
 * It pauses after every message, so the end of the message is known. It also pauses for CONNECT and
 * Upgrade, and this code makes it go on. A server may ignore an Upgrade (RFC 9110 section 7.8), as
 * ringloop does.
 */
import { createRequire } from "node:module";
import type { Message, Reader } from "./reading.ts";

const TYPE_REQUEST = 1;
const OK = 0;
const PAUSED = 21;
const PAUSED_UPGRADE = 22;
const PAUSED_H2_UPGRADE = 23;

interface Exports {
  memory: WebAssembly.Memory;
  malloc(bytes: number): number;
  free(pointer: number): void;
  llhttp_alloc(type: number): number;
  llhttp_reset(parser: number): void;
  llhttp_execute(parser: number, data: number, bytes: number): number;
  llhttp_finish(parser: number): number;
  llhttp_resume(parser: number): void;
  llhttp_resume_after_upgrade(parser: number): void;
  llhttp_should_keep_alive(parser: number): number;
  llhttp_get_method(parser: number): number;
  llhttp_method_name(method: number): number;
  llhttp_get_http_major(parser: number): number;
  llhttp_get_http_minor(parser: number): number;
  llhttp_get_error_pos(parser: number): number;
  llhttp_get_error_reason(parser: number): number;
}

/** The message that is being read. Its properties have the names of the callbacks that set them. */
const current = {
  target: "",
  method: "",
  version: "",
  body: "",
  headers: [] as [string, string][],
  /** Whether the callbacks for headers now get trailers. */
  inTrailers: false,
  /** Whether the last part was of a name. A name may come in several parts. */
  inName: false,
  keepAlive: true,
  complete: false,
};

function text(at: number, bytes: number): string {
  return memoryView().latin1Slice(at, at + bytes);
}

function cString(at: number): string {
  return text(at, memoryView().indexOf(0, at) - at);
}

const callbacks = {
  wasm_on_message_begin(): number {
    Object.assign(current, { target: "", body: "", headers: [], inTrailers: false, inName: false, complete: false });
    return OK;
  },
  wasm_on_url(_parser: number, at: number, bytes: number): number {
    current.target += text(at, bytes);
    return OK;
  },
  wasm_on_status: (): number => OK,
  wasm_on_header_field(_parser: number, at: number, bytes: number): number {
    if (current.inTrailers) return OK;
    if (current.inName) current.headers.at(-1)![0] += text(at, bytes);
    else current.headers.push([text(at, bytes), ""]);
    current.inName = true;
    return OK;
  },
  wasm_on_header_value(_parser: number, at: number, bytes: number): number {
    if (current.inTrailers) return OK;
    current.headers.at(-1)![1] += text(at, bytes);
    current.inName = false;
    return OK;
  },
  wasm_on_headers_complete(parser: number): number {
    current.method = cString(llhttp.llhttp_method_name(llhttp.llhttp_get_method(parser)));
    current.version = `${llhttp.llhttp_get_http_major(parser)}.${llhttp.llhttp_get_http_minor(parser)}`;
    // llhttp does not remove the white space after a value.
    for (const header of current.headers) header[1] = header[1].replace(/[ \t]+$/, "");
    current.inTrailers = true;
    return OK;
  },
  wasm_on_body(_parser: number, at: number, bytes: number): number {
    current.body += text(at, bytes);
    return OK;
  },
  wasm_on_message_complete(parser: number): number {
    current.keepAlive = llhttp.llhttp_should_keep_alive(parser) === 1;
    current.complete = true;
    return PAUSED;
  },
};

const image = createRequire(import.meta.url)("undici/lib/llhttp/llhttp-wasm.js") as Uint8Array<ArrayBuffer>;
const llhttp = new WebAssembly.Instance(new WebAssembly.Module(image), { env: callbacks })
  .exports as unknown as Exports;
const parser = llhttp.llhttp_alloc(TYPE_REQUEST);
let inputBytesMax = 65536;
let input = llhttp.malloc(inputBytesMax);
let view = Buffer.from(llhttp.memory.buffer);

/** Returns a view of the memory. After the memory has grown, it has another buffer. */
function memoryView(): Buffer {
  if (view.buffer !== llhttp.memory.buffer) view = Buffer.from(llhttp.memory.buffer);
  return view;
}

function reserveInput(bytes: number): void {
  if (bytes <= inputBytesMax) return;
  llhttp.free(input);
  inputBytesMax = bytes;
  input = llhttp.malloc(bytes);
}

export const readWithLlhttp: Reader = (stream, ends = [stream.length]) => {
  const messages: Message[] = [];
  llhttp.llhttp_reset(parser);
  let start = 0;
  for (const end of ends) {
    reserveInput(end - start);
    memoryView().latin1Write(stream.slice(start, end), input);
    let at = input;
    const stop = input + end - start;
    // One more call follows when no byte is left: after a pause at the last byte, only the next
    // call ends the message.
    for (;;) {
      const error = llhttp.llhttp_execute(parser, at, stop - at);
      if (error === OK) break;
      if (error === PAUSED_H2_UPGRADE) return { messages, verdict: "accepted" };
      if (error !== PAUSED && error !== PAUSED_UPGRADE)
        return { messages, verdict: "refused", reason: cString(llhttp.llhttp_get_error_reason(parser)) };
      at = llhttp.llhttp_get_error_pos(parser);
      if (error === PAUSED_UPGRADE) llhttp.llhttp_resume_after_upgrade(parser);
      else llhttp.llhttp_resume(parser);
      if (!current.complete) continue;
      current.complete = false;
      const { method, target, version, headers, body, keepAlive } = current;
      messages.push({ method, target, version, headers, body, keepAlive, end: start + at - input });
      if (!keepAlive) return { messages, verdict: "accepted" };
    }
    start = end;
  }
  return { messages, verdict: llhttp.llhttp_finish(parser) === OK ? "accepted" : "incomplete" };
};
