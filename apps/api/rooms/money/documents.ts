import { Readable } from 'node:stream';
import type { RenderedDocument } from '#money/billing';

/** An invoice, credit note or statement as the answer of a route that returns bytes. */
export const sent = ({ bytes, fileName }: RenderedDocument) => ({
  stream: Readable.from([bytes], { objectMode: false }),
  bytes: bytes.length,
  fileName,
});
