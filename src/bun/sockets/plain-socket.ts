/**
 * The members of Bun's Socket that concern TLS, for a socket without TLS. They return what Bun
 * returns on a plain socket. So a program that checks for TLS before it uses it runs unchanged.
 */
export abstract class PlainSocket {
  get authorized(): boolean {
    return false;
  }

  get alpnProtocol(): string | false | null {
    return false;
  }

  disableRenegotiation(): void {}

  exportKeyingMaterial(_length: number, _label: string, _context?: unknown): any {}

  getAuthorizationError(): Error | null {
    return null;
  }

  getCertificate(): any {}

  getX509Certificate(): undefined {}

  getCipher(): any {}

  getEphemeralKeyInfo(): null {
    return null;
  }

  getPeerCertificate(): any {
    return null;
  }

  getPeerX509Certificate(): any {}

  getSharedSigalgs(): any {}

  getTLSFinishedMessage(): undefined {}

  getTLSPeerFinishedMessage(): undefined {}

  getTLSTicket(): undefined {}

  getTLSVersion(): any {
    return null;
  }

  resumeSNI(_context: unknown, _error: unknown): void {}

  setKeyCert(_context: unknown): void {}

  isSessionReused(): boolean {
    return false;
  }

  setMaxSendFragment(_size: number): boolean {
    return false;
  }

  renegotiate(): void {}

  setVerifyMode(_requestCert: boolean, _rejectUnauthorized: boolean): void {}

  getSession(): void {}

  setSession(_session: unknown): void {}

  getServername(): any {}

  setServername(_name: string): void {}

  /** Throws a TypeError: the ring does not serve STARTTLS. */
  upgradeTLS(_options: unknown): never {
    throw new TypeError("upgradeTLS is not served by the ring: connect with Bun's own functions (RINGLOOP=off) for it");
  }
}
