/**
 * Sec-WebSocket-Extensions, as clients send it (RFC 6455 section 9.1).
 *
 * Guarantees: each character is looked at once. An offer that is not well-formed is left out, and the next one read; a comma, a semicolon or
 * a backslash within quotes is what the grammar says it is.
 */
import { isTokenByte } from "../http/byte-classes.ts";

/** An extension and its parameters: undefined for one without a value. */
export interface Offer {
  readonly name: string;
  readonly parameters: Map<string, string | undefined>;
}

const TAB = 9;
const SP = 32;
const QUOTE = 34;
const COMMA = 44;
const SEMICOLON = 59;
const EQUALS = 61;
const BACKSLASH = 92;

/** The offers that are well-formed, in the client's order of preference. One that names a parameter twice is not (section 7.1 of RFC 7692). */
export function readOffers(text: string): Offer[] {
  const scanner = new Scanner(text);
  const offers: Offer[] = [];
  while (!scanner.atEnd) {
    const offer = readOffer(scanner);
    if (offer !== undefined) offers.push(offer);
    scanner.skipElement();
  }
  return offers;
}

/** extension-token *( ";" extension-param ), up to the comma or the end. Undefined where something else comes first. */
function readOffer(scanner: Scanner): Offer | undefined {
  const name = scanner.takeToken();
  if (name === "") return undefined;
  const parameters = new Map<string, string | undefined>();
  while (scanner.take(SEMICOLON)) {
    const parameter = scanner.takeToken();
    if (parameter === "" || parameters.has(parameter)) return undefined;
    let value: string | undefined;
    if (scanner.take(EQUALS)) {
      value = scanner.takeValue();
      if (value === "") return undefined;
    }
    parameters.set(parameter, value);
  }
  return scanner.atEnd || scanner.isAt(COMMA) ? { name, parameters } : undefined;
}

/** Goes through the text from its beginning to its end, past the white space around what it takes. */
class Scanner {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
    this.skipBlanks();
  }

  get atEnd(): boolean {
    return this.at >= this.text.length;
  }

  isAt(code: number): boolean {
    return this.text.charCodeAt(this.at) === code;
  }

  take(code: number): boolean {
    if (!this.isAt(code)) return false;
    this.at++;
    this.skipBlanks();
    return true;
  }

  /** Empty where there is none. */
  takeToken(): string {
    const { text, at } = this;
    while (isTokenByte(text.charCodeAt(this.at))) this.at++;
    const token = text.slice(at, this.at);
    this.skipBlanks();
    return token;
  }

  /** A token, or one in quotes. Empty where there is neither: what is in quotes must be a token, too. */
  takeValue(): string {
    const { text } = this;
    if (!this.isAt(QUOTE)) return this.takeToken();
    let value = "";
    let isToken = true;
    for (this.at++; !this.atEnd && !this.isAt(QUOTE); this.at++) {
      if (this.isAt(BACKSLASH)) this.at++;
      isToken &&= isTokenByte(text.charCodeAt(this.at));
      if (isToken) value += text[this.at];
    }
    return this.take(QUOTE) && isToken ? value : "";
  }

  /** Goes behind the comma that ends the element, or to the end. */
  skipElement(): void {
    const { text } = this;
    let quoted = false;
    for (; !this.atEnd; this.at++) {
      const code = text.charCodeAt(this.at);
      if (code === QUOTE) quoted = !quoted;
      else if (code === BACKSLASH && quoted && this.at + 1 < text.length) this.at++;
      else if (code === COMMA && !quoted) break;
    }
    this.take(COMMA);
  }

  private skipBlanks(): void {
    while (this.isAt(SP) || this.isAt(TAB)) this.at++;
  }
}
