/** The option `routes` of serve: checks its values and makes the router. */
import { inCurrentContext } from "../../sys/async-context.ts";
import { invalidType, invalidValue, requireObject } from "../../sys/check.ts";
import { lazily } from "../../sys/lazily.ts";
import { parameterNames, Router } from "./router.ts";
import type { StaticContent } from "./static-content.ts";
import { isResponse } from "./tracked-response.ts";

const contents = lazily(() => require("./static-content.ts") as typeof import("./static-content.ts"));

/** A route: either content, or a handler with the names of the parameters in its path. */
export interface Route {
  content: StaticContent | undefined;
  handler: ((request: never, server: never) => unknown) | undefined;
  names: readonly string[];
}

const methodNames = new Set(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]);

/** The routes of a server, until a reload replaces them. */
export interface RouteTable {
  /** The router. Null if there are no routes. */
  readonly router: Router<Route> | null;
  close(): void;
}

/**
 * Reads the option `routes`. Throws a TypeError that names the route for an invalid path or value.
 * Throws an Error with `code` for a directory that cannot be opened.
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
      // Elysia gives such a route. As in Bun, no request matches it.
      if (path === "") continue;
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

/**
 * Returns the path of the first route with an HTML import, for all methods or for one. Only Bun's
 * server serves HTML imports.
 */
export function findHtml(routes: unknown): string | undefined {
  const found = Object.entries(routes ?? {}).find(
    ([, value]) => isHtml(value) || methodMap(value)?.some(([, each]) => isHtml(each)) === true,
  );
  return found?.[0];
}

/**
 * Whether a value is what `import page from "../../http/page.html"` gives: an HTMLBundle, or a
 * plain object in the output of `bun build --target=bun`.
 */
function isHtml(value: any): boolean {
  if (typeof value !== "object" || value === null) return false;
  return (
    Object.prototype.toString.call(value) === "[object HTMLBundle]" ||
    (typeof value.index === "string" && Array.isArray(value.files))
  );
}

/**
 * Returns the entries of an object whose keys are methods. Returns undefined for any other value.
 */
function methodMap(value: any): [string, any][] | undefined {
  if (typeof value !== "object" || value === null || isResponse(value) || value instanceof Blob) return undefined;
  const entries = Object.entries(value);
  return entries.length > 0 && entries.every(([name]) => methodNames.has(name)) ? entries : undefined;
}

function readContent(path: string, value: any): StaticContent {
  if (isResponse(value)) return contents().contentOfResponse(value, path);
  if (value instanceof Blob) return contents().contentOfFile(value, path);
  if (typeof value?.dir === "string") {
    if (!path.endsWith("/*")) throw invalidValue("the path of a route with dir", 'a pattern that ends in "/*"', path);
    return new (contents().ContentOfDirectory)(value.dir, path.slice(0, -1));
  }
  const methods = [...methodNames].join(", ");
  throw invalidType(
    `route ${JSON.stringify(path)}`,
    `a Response, a handler, Bun.file(), { dir }, false, or an object of these by method (${methods})`,
    value,
  );
}
