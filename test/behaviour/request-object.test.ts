/**
 * Requests and Responses as objects that a program passes on, copies, patches and extends. The
 * preload has replaced the globals.
 */
import { expect, test } from "bun:test";
import { fixture, run } from "./process.ts";
import { isBun, subject } from "./subject.ts";

/** The output of the program on Bun: each line is a name and a value as JSON. */
const expected: Record<string, unknown> = {
  "is a Request": ["[object Request]", true, true, true, "Request", 0],
  "a prototype's method": ["hello", true],
  "a prototype's getters": [true, "POST", "1", false, null],
  "a prototype's clone": ["hello", "hello"],
  "a foreign object": "TypeError",
  copied: ["POST", "1", "hello", false, "hello"],
  "copied with another body": ["PUT", "1", "new", "hello"],
  "copied for another URL": ["http://z/q", "POST", "1", "hello", false, "hello"],
  "copied after it was read": "POST",
  "a program's own copied": ["text", "streamed", "text", "streamed", "text", "streamed", "text", "streamed"],
  "typed by its file": "text/javascript;charset=utf-8",
  cloned: [true, true, "hello", "hello", true, true],
  "cloned after it was read": "ERR_BODY_ALREADY_USED",
  "read twice": ["hello", true, ...Array<string>(5).fill("TypeError ERR_BODY_ALREADY_USED Body already used")],
  "read twice at once": ["hello", "ERR_BODY_ALREADY_USED"],
  "body, then text": [true, "hello", true, true],
  "held by a reader": ["ERR_BODY_ALREADY_USED", true],
  cancelled: [true, "ERR_BODY_ALREADY_USED"],
  "bad JSON": `SyntaxError JSON Parse error: Unexpected identifier "hello"`,
  "bad form": "ERR_FORMDATA_PARSE_ERROR",
  "a patched method": "patched hello",
  "a patched prototype": ["foo", "foo", "foo", "foo", "bar", "bar", "bar"],
  "own properties": [[], [], "{}", 1],
  "is read-only": ["TypeError", "TypeError"],
  "another prototype": "zz POST",
  "no proxy, no heir": ["TypeError", "TypeError"],
  subclasses: [false, true, true, "hi", true, true, "[object Request]", "hello"],
  "subclasses of Response": [201, "yo", true, false, "Response", "Response", "1"],
  "made by native code": [true, true, true, true],
  "sent on": ["POST 1 hello", "POST 1 hello", "hello"],
  "without new": ["ERR_ILLEGAL_CONSTRUCTOR", "ERR_ILLEGAL_CONSTRUCTOR"],
  names: ["Response", 0, "error,json,length,name,prototype,redirect", "Request", 0],
  "Response.json": ["application/json;charset=utf-8", "", "TypeError", "TypeError"],
  "a Response sent": [true, "ERR_BODY_ALREADY_USED"],
};

test("are what they are in Bun", async () => {
  const preload = isBun ? [] : [`--preload=${new URL("../../src/register.ts", import.meta.url).pathname}`];
  const { stdout } = await run([process.execPath, ...preload, fixture("request-object.ts")], "", {
    RINGLOOP_MODE: isBun ? undefined : subject,
    RINGLOOP: isBun ? "off" : "require",
  });
  expect(JSON.parse(stdout)).toEqual(expected);
});
