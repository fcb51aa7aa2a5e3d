import { systemRandom, type Random } from '#kernel';

/** Where in a distributed trace we are (W3C Trace Context, version 00). */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  readonly sampled: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Reads a `traceparent` header; null when it is not a valid one. Later versions are read as far as version 00 goes. */
export function parseTraceparent(header: string | undefined): TraceContext | null {
  const [, version, traceId = '', spanId = '', flags = '', rest] = TRACEPARENT.exec(header?.trim() ?? '') ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && rest !== undefined)) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null;
  return { traceId, spanId, sampled: (parseInt(flags, 16) & 1) === 1 };
}

export function formatTraceparent(trace: TraceContext): string {
  return `00-${trace.traceId}-${trace.spanId}-${trace.sampled ? '01' : '00'}`;
}

/** The caller's trace with a span of our own, or a new trace when the header is missing or wrong. */
export function continueTrace(header: string | undefined, random: Random = systemRandom): TraceContext {
  const caller = parseTraceparent(header);
  return { traceId: caller?.traceId ?? hex(16, random), spanId: hex(8, random), sampled: caller?.sampled ?? true };
}

function hex(bytes: number, random: Random): string {
  for (;;) {
    const text = Buffer.from(random.bytes(bytes)).toString('hex');
    // The standard gives an all-zero id the meaning "none".
    if (!/^0+$/.test(text)) return text;
  }
}
