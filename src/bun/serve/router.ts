/**
 * Finds the route for a path. The patterns are Bun's: literal segments, `:name` for one segment
 * that is not empty, and `*` as the last segment for the rest of the path.
 *
 * Guarantees: in each segment, a literal is preferred to a parameter, and a parameter to a
 * wildcard. If the preferred pattern has no route for the method, the next pattern is tried. Paths
 * are compared as they were sent, without decoding. A match allocates only its parameters.
 */
import { invalidValue } from "../../sys/check.ts";

interface Leaf<Route> {
  /** The route for all other methods. `byMethod` has the routes for single methods. */
  any: Route | undefined;
  byMethod: Map<string, Route> | undefined;
}

interface Node<Route> {
  literal: Map<string, Node<Route>>;
  parameter: Node<Route> | undefined;
  wildcard: Leaf<Route> | undefined;
  leaf: Leaf<Route> | undefined;
}

function newNode<Route>(): Node<Route> {
  return { literal: new Map(), parameter: undefined, wildcard: undefined, leaf: undefined };
}

export class Router<Route> {
  /** The parameters of the last match, in the order of the pattern, without decoding. */
  values: string[] = [];

  private readonly exact = new Map<string, Leaf<Route>>();
  private readonly root = newNode<Route>();
  private hasPatterns = false;

  /**
   * Adds a route for one method, or for all methods if `method` is undefined. Of two equal
   * patterns, the later one wins. Throws a TypeError for an invalid pattern.
   */
  add(pattern: string, method: string | undefined, route: Route): void {
    const names = parameterNames(pattern);
    const leaf = names.length === 0 && !pattern.endsWith("/*") ? this.exactLeaf(pattern) : this.patternLeaf(pattern);
    if (leaf === undefined) return;
    if (method === undefined) leaf.any = route;
    else (leaf.byMethod ??= new Map()).set(method, route);
  }

  match(method: string, path: string): Route | undefined {
    const exact = this.exact.get(path);
    if (exact !== undefined) {
      const route = routeFor(exact, method);
      if (route !== undefined) {
        this.values = [];
        return route;
      }
    }
    return this.hasPatterns ? this.descend(this.root, method, path, 1, 0) : undefined;
  }

  private exactLeaf(path: string): Leaf<Route> {
    let leaf = this.exact.get(path);
    if (!leaf) this.exact.set(path, (leaf = { any: undefined, byMethod: undefined }));
    return leaf;
  }

  private patternLeaf(pattern: string): Leaf<Route> | undefined {
    this.hasPatterns = true;
    let node = this.root;
    const segments = pattern.slice(1).split("/");
    for (let i = 0; i < segments.length; i++) {
      const segment = segments[i]!;
      // A wildcard in the middle matches nothing, as in Bun.
      if (segment === "*")
        return i < segments.length - 1 ? undefined : (node.wildcard ??= { any: undefined, byMethod: undefined });
      if (segment[0] === ":") node = node.parameter ??= newNode();
      else {
        let next = node.literal.get(segment);
        if (!next) node.literal.set(segment, (next = newNode()));
        node = next;
      }
    }
    return (node.leaf ??= { any: undefined, byMethod: undefined });
  }

  /**
   * Matches the segments from position `at` on. `depth` is the number of parameters before them.
   */
  private descend(node: Node<Route>, method: string, path: string, at: number, depth: number): Route | undefined {
    const slash = path.indexOf("/", at);
    const end = slash < 0 ? path.length : slash;
    if (node.literal.size > 0) {
      const next = node.literal.get(path.slice(at, end));
      const route = next && this.enter(next, method, path, slash, depth);
      if (route !== undefined) return route;
    }
    if (node.parameter !== undefined && end > at) {
      const route = this.enter(node.parameter, method, path, slash, depth + 1);
      if (route !== undefined) {
        this.values[depth] = path.slice(at, end);
        return route;
      }
    }
    if (node.wildcard === undefined) return undefined;
    const route = routeFor(node.wildcard, method);
    if (route !== undefined) this.values = depth === 0 ? [] : Array<string>(depth);
    return route;
  }

  private enter(node: Node<Route>, method: string, path: string, slash: number, depth: number): Route | undefined {
    if (slash >= 0) return this.descend(node, method, path, slash + 1, depth);
    const route = node.leaf && routeFor(node.leaf, method);
    // The innermost call makes the list. The calls around it fill it.
    if (route !== undefined) this.values = Array<string>(depth);
    return route;
  }
}

/**
 * Returns the route for a method. A HEAD without a route of its own gets the route for GET (RFC
 * 9110 section 9.3.2).
 */
function routeFor<Route>({ any, byMethod }: Leaf<Route>, method: string): Route | undefined {
  if (byMethod === undefined) return any;
  return byMethod.get(method) ?? (method === "HEAD" ? byMethod.get("GET") : undefined) ?? any;
}

/**
 * Returns the names of a pattern's parameters, in their order. Throws a TypeError for an invalid
 * pattern.
 */
export function parameterNames(pattern: string): string[] {
  if (pattern[0] !== "/") throw invalidValue("a route's path", 'a text that starts with "/"', pattern);
  if (/[^\x20-\x7e]/.test(pattern))
    throw invalidValue("a route's path", "a text with percent-encoded characters beyond ASCII", pattern);
  const names = pattern
    .split("/")
    .filter((segment) => segment[0] === ":")
    .map((segment) => segment.slice(1));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw invalidValue("a route's path", `a pattern that names the parameter ":${twice}" once`, pattern);
  return names;
}

/** Returns a target without its query. */
export function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}

/**
 * Decodes a parameter's value. Its bytes, raw or percent-encoded, are UTF-8. Invalid bytes become
 * U+FFFD, as in Bun.
 */
export function decodeParameter(value: string): string {
  if (!/[%\x80-\xff]/.test(value)) return value;
  const bytes = value.replace(/%(?:([0-9a-f]{2})|.{0,2})/gi, (_, hex: string | undefined) =>
    hex === undefined ? "\xef\xbf\xbd" : String.fromCharCode(parseInt(hex, 16)),
  );
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.from(bytes, "latin1"));
}
