/**
 * The counters of a thread's traffic. The code that sees an event increments its counter; only
 * ringloop/metrics reads them.
 *
 * Guarantees: to count an event of each request or message is one increment of a number field. All
 * fields are set from the start, so the object never changes its shape.
 */

/** Numbers by a name or code that few events have. */
export type CountsByName = Record<string, number>;

/** Why `serve` refuses requests, by the status of its answer. */
export const refusalReasons = {
  400: ["request_line", "field", "host", "content_length", "transfer_encoding", "body"],
  408: ["head"],
  413: ["content_length", "body"],
  414: ["target"],
  417: ["expect"],
  426: ["websocket_version"],
  431: ["head", "fields", "trailers"],
  500: ["answer"],
  501: ["method", "transfer_encoding"],
  505: ["version"],
} as const;
export type RefusalReason = (typeof refusalReasons)[keyof typeof refusalReasons][number];

/** The first code of a Close frame that anybody can choose. */
const FIRST_PRIVATE_CODE = 3000;

export class Traffic {
  // ---- connections ------------------------------------------------------------------------------

  /** Number of accepted connections. */
  accepts = 0;
  /** Number of accepts that failed with EMFILE or ENFILE, with ENOBUFS or ENOMEM, or otherwise. */
  acceptsWithoutDescriptor = 0;
  acceptsWithoutMemory = 0;
  acceptsLost = 0;
  /** Number of connections that servers of node:http have closed at once. */
  connectionsOverMaximum = 0;
  connectionsOnBlockList = 0;
  /** Number of connections to others that were opened. */
  connects = 0;

  // ---- bytes ------------------------------------------------------------------------------------

  /** Bytes of connections. */
  receivedBytes = 0;
  sentBytes = 0;
  datagramsReceived = 0;
  datagramsSent = 0;
  /** Bytes of the payloads of datagrams. */
  datagramBytesReceived = 0;
  datagramBytesSent = 0;

  // ---- HTTP -------------------------------------------------------------------------------------

  /**
   * Number of answers of which the head was written, by class of status. Programs can also set a
   * status from 600 to 999.
   */
  answers1xx = 0;
  answers2xx = 0;
  answers3xx = 0;
  answers4xx = 0;
  answers5xx = 0;
  answersOther = 0;
  /** Number of requests that ended before their answer was whole. */
  requestsAborted = 0;
  /** Number of answers of `serve` itself that end their connection, by status and reason. */
  readonly refusals: CountsByName = {};
  /** Number of mistakes of the clients of node:http, by Node's code. */
  readonly nodeRefusals: CountsByName = {};

  // ---- WebSocket --------------------------------------------------------------------------------

  upgrades = 0;
  messagesReceived = 0;
  messagesSent = 0;
  /** Number of messages that were not sent, because too many bytes waited before them. */
  messagesDropped = 0;
  /** Number of sockets that have ended, by the code that the handler `close` gets. */
  readonly closes: CountsByName = {};
  /** Number of violations of the protocol, by the code that the client gets. */
  readonly violations: CountsByName = {};

  /** Counts an answer. `digit` is the character code of the first digit of its status. */
  countAnswer(digit: number): void {
    switch (digit) {
      case 49:
        this.answers1xx++;
        return;
      case 50:
        this.answers2xx++;
        return;
      case 51:
        this.answers3xx++;
        return;
      case 52:
        this.answers4xx++;
        return;
      case 53:
        this.answers5xx++;
        return;
      default:
        this.answersOther++;
    }
  }

  /** Counts an answer by its head, which begins with "HTTP/1.1 " and the status. */
  countHead(head: string): void {
    this.countAnswer(head.charCodeAt(9));
  }

  /** Counts the answer to a request that is refused. */
  countRefusal(status: number, reason: RefusalReason): void {
    increment(this.refusals, `${status} ${reason}`);
    this.countAnswer(48 + Math.floor(status / 100));
  }

  countNodeRefusal(code: string): void {
    increment(this.nodeRefusals, code);
  }

  /**
   * Counts the end of a WebSocket. Clients choose the codes from 3000 on (RFC 6455 section 7.4.2).
   * So these are counted by thousands: a client cannot make a thousand names.
   */
  countClose(code: number): void {
    increment(this.closes, code < FIRST_PRIVATE_CODE ? String(code) : `${Math.floor(code / 1000)}xxx`);
  }

  countViolation(code: number): void {
    increment(this.violations, String(code));
  }
}

function increment(counts: CountsByName, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
