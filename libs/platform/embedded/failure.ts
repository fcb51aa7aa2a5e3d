import { DomainError } from '#kernel';

/** A failure of the built-in server, told as one sentence and, where there is one, the way out. */
export function embeddedFailure(message: string, fix?: string): DomainError {
  return new DomainError('unavailable', 'embedded-postgres', message, fix === undefined ? {} : { fix });
}

export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** The value of a read that may meet a missing file; every other failure passes through. */
export function unlessMissing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
