/**
 * The response that a client gets if a handler fails and the server has no error handler, or if the
 * error handler fails too.
 */
import { TEXT_TYPE } from "../../http/head.ts";

/**
 * Returns the value that the error handler gets for a handler's result that is not a Response. An
 * Error is passed on unchanged, as in Bun.
 */
export function errorOf(result: unknown): unknown {
  if (result instanceof Error) return result;
  return new TypeError(`Expected a Response object, but received '${Bun.inspect(result)}'`);
}

/**
 * Makes the response for an error. With `development`, a page shows the error and its stack to the
 * author of the program. Without it, the response tells nothing about the error.
 */
export function errorResponse(error: unknown, development: boolean): Response {
  if (!development)
    return new Response("Something went wrong!", { status: 500, headers: { "content-type": TEXT_TYPE } });
  const text = Bun.escapeHTML(Bun.inspect(error, { colors: false }));
  const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Internal Server Error</title>
<style>:root { color-scheme: light dark; font-family: system-ui; margin: 2em } pre { white-space: pre-wrap }</style>
<h1>Internal Server Error</h1>
<pre>${text}</pre>
<p>This page is shown because the server runs with <code>development</code>; NODE_ENV=production or
<code>development: false</code> hides it.</p>
</html>
`;
  return new Response(page, { status: 500, headers: { "content-type": "text/html;charset=utf-8" } });
}
