/**
 * Reads the field Sec-WebSocket-Extensions of a client (RFC 6455 section 9.1).
 *
 * Guarantees: the time is linear in the length of the field. The reader skips an offer that is not
 * well-formed, and goes on with the next one. It follows the grammar for commas, semicolons and
 * backslashes inside of quotes.
 */
import { isTokenByte } from "../http/byte-classes.ts";

/** An extension and its parameters. The value of a parameter without a value is undefined. */
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

/**
 * Returns the well-formed offers, in the client's order of preference. An offer that names a
 * parameter twice is not well-formed (RFC 7692 section 7.1).
 */
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

/**
 * Reads `extension-token *( ";" extension-param )`, up to a comma or the end. Returns undefined if
 * the text has another form.
 */
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

/** Reads the text from start to end. Each method skips the white space after the item it reads. */
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

  /** Skips the character if it is next. Returns whether it was. */
  take(code: number): boolean {
    if (!this.isAt(code)) return false;
    this.at++;
    this.skipBlanks();
    return true;
  }

  /** Reads a token. Returns "" if there is none. */
  takeToken(): string {
    const { text, at } = this;
    while (isTokenByte(text.charCodeAt(this.at))) this.at++;
    const token = text.slice(at, this.at);
    this.skipBlanks();
    return token;
  }

  /**
   * Reads a token, which may be in quotes. Returns "" if there is none, or if the text in quotes is
   * not a token.
   */
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

  /** Skips the rest of the offer and the comma after it. */
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
