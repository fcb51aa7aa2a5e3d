import { StringDecoder } from 'node:string_decoder';

/** Turns chunks of a stream into lines; a line longer than the limit comes in pieces, so memory stays bounded. */
export class LineSplitter {
  private readonly decoder = new StringDecoder('utf8');
  private rest = '';

  constructor(
    private readonly onLine: (text: string) => void,
    private readonly maxChars = 8_192,
  ) {}

  push(chunk: Buffer): void {
    this.take(this.decoder.write(chunk));
  }

  /** What is left without a newline is a line too. */
  end(): void {
    this.take(this.decoder.end());
    if (this.rest.length > 0) this.onLine(this.rest);
    this.rest = '';
  }

  private take(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.cut(line.endsWith('\r') ? line.slice(0, -1) : line);
    while (this.rest.length > this.maxChars) {
      this.onLine(this.rest.slice(0, this.maxChars));
      this.rest = this.rest.slice(this.maxChars);
    }
  }

  private cut(line: string): void {
    this.onLine(line.slice(0, this.maxChars));
    for (let at = this.maxChars; at < line.length; at += this.maxChars) this.onLine(line.slice(at, at + this.maxChars));
  }
}
