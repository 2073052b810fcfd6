/** The option `routes` of serve: what it may hold, and the router that it becomes. */
import { inCurrentContext } from "../../sys/async-context.ts";
import { requireObject } from "../../sys/check.ts";
import { lazily } from "../../sys/lazily.ts";
import { parameterNames, Router } from "./router.ts";
import type { StaticContent } from "./static-content.ts";
import { isResponse } from "./tracked-response.ts";

const contents = lazily(() => require("./static-content.ts") as typeof import("./static-content.ts"));

/** Either content, or a handler and the names of the parameters in its path. */
export interface Route {
  content: StaticContent | undefined;
  handler: ((request: never, server: never) => unknown) | undefined;
  names: readonly string[];
}

const methodNames = new Set(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]);

/** The routes of a server, until it gets others. */
export interface RouteTable {
  /** Null where there are none. */
  readonly router: Router<Route> | null;
  close(): void;
}

/**
 * Throws a TypeError that names the route for a path or a value that cannot be, and an Error with `code` for a directory that cannot be
 * opened.
 */
export function readRoutes(routes: Record<string, unknown> | null | undefined): RouteTable {
  requireObject("routes", routes ?? {});
  const router = new Router<Route>();
  const opened: StaticContent[] = [];
  const close = (): void => opened.forEach((content) => content.close?.());
  const read = (path: string, value: unknown): Route => {
    const names = parameterNames(path);
    if (typeof value === "function")
      return { content: undefined, handler: inCurrentContext(value as Route["handler"]), names };
    const content = readContent(path, value);
    opened.push(content);
    return { content, handler: undefined, names };
  };
  let count = 0;
  try {
    for (const [path, value] of Object.entries(routes ?? {})) {
      if (path === "") continue; // Elysia gives one. As in Bun, no request has it.
      if (value === false || value === undefined) parameterNames(path);
      else {
        const methods = methodMap(value);
        if (methods === undefined) router.add(path, undefined, read(path, value));
        else for (const [method, each] of methods) router.add(path, method, read(path, each));
        count++;
      }
    }
  } catch (error) {
    close();
    throw error;
  }
  return { router: count === 0 ? null : router, close };
}

/** The path of the first route that is an HTML import, alone or for a method. Only Bun's own server serves those. */
export function findHtml(routes: unknown): string | undefined {
  const found = Object.entries(routes ?? {}).find(
    ([, value]) => isHtml(value) || methodMap(value)?.some(([, each]) => isHtml(each)) === true,
  );
  return found?.[0];
}

/** What `import page from "../../http/page.html"` gives: an HTMLBundle, or in the output of `bun build --target=bun` a plain object. */
function isHtml(value: any): boolean {
  if (typeof value !== "object" || value === null) return false;
  return (
    Object.prototype.toString.call(value) === "[object HTMLBundle]" ||
    (typeof value.index === "string" && Array.isArray(value.files))
  );
}

/** The entries of an object of methods; undefined for another kind of value. */
function methodMap(value: any): [string, any][] | undefined {
  if (typeof value !== "object" || value === null || isResponse(value) || value instanceof Blob) return undefined;
  const entries = Object.entries(value);
  return entries.length > 0 && entries.every(([name]) => methodNames.has(name)) ? entries : undefined;
}

function readContent(path: string, value: any): StaticContent {
  if (isResponse(value)) return contents().contentOfResponse(value, path);
  if (value instanceof Blob) return contents().contentOfFile(value, path);
  if (typeof value?.dir === "string") {
    if (!path.endsWith("/*"))
      throw new TypeError(`the path of a route with dir must end in "/*", not ${JSON.stringify(path)}`);
    return new (contents().ContentOfDirectory)(value.dir, path.slice(0, -1));
  }
  throw new TypeError(
    `route ${JSON.stringify(path)} must be a Response, a handler, Bun.file(), { dir }, false, or an object of these ` +
      `by method (${[...methodNames].join(", ")}), not ${Bun.inspect(value)}`,
  );
}
