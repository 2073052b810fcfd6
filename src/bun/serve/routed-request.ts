/**
 * The request that a route's handler gets. It has the parameters of the path and the client's
 * cookies.
 *
 * Guarantees: both are made when they are first read. Cookies that the handler sets or deletes go
 * into the Set-Cookie fields of the response.
 */
import { RingRequest } from "./request.ts";
import { decodeParameter } from "./router.ts";

export class RoutedRequest extends RingRequest {
  #names: readonly string[] = [];
  #values: readonly string[] = [];
  #params: Record<string, string> | undefined;
  #cookies: Bun.CookieMap | undefined;

  /** @internal Sets the names of the parameters, and their values as they were sent. */
  static route(request: RoutedRequest, names: readonly string[], values: readonly string[]): void {
    request.#names = names;
    request.#values = values;
  }

  /** @internal Returns the Set-Cookie values for the cookies that the handler changed. */
  static changedCookies(request: RingRequest): string[] | undefined {
    return #cookies in request ? request.#cookies?.toSetCookieHeaders() : undefined;
  }

  get params(): Record<string, string> {
    return (this.#params ??= this.#decodeParams());
  }

  get cookies(): Bun.CookieMap {
    return (this.#cookies ??= new Bun.CookieMap(this.headers.get("cookie") ?? ""));
  }

  override clone(): Request {
    const { cookies, params } = this;
    return Object.defineProperties(super.clone(), {
      params: { value: { ...params }, configurable: true, enumerable: true },
      cookies: { value: new Bun.CookieMap(cookies.toJSON()), configurable: true, enumerable: true },
    });
  }

  #decodeParams(): Record<string, string> {
    const params: Record<string, string> = {};
    for (let i = 0; i < this.#names.length; i++) params[this.#names[i]!] = decodeParameter(this.#values[i]!);
    return params;
  }
}

Reflect.deleteProperty(RoutedRequest.prototype, "constructor");
Object.defineProperty(RoutedRequest.prototype, Symbol.toStringTag, { value: "BunRequest", configurable: true });
