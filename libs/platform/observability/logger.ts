import { pino } from 'pino';
import { systemClock, type Clock } from '#kernel';
import { currentContext } from './context.js';
import { isError, redactFields, redactText } from './redact.js';

export type LogFields = Readonly<Record<string, unknown>>;

interface LogMethod {
  (message: string): void;
  (fields: LogFields | Error, message?: string): void;
}

/** Writes one JSON object a line. Narrower than pino, so that no field reaches a line past the redaction. */
export interface Logger {
  readonly trace: LogMethod;
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
  readonly fatal: LogMethod;
  /** A logger whose lines all carry these fields. */
  child(fields: LogFields): Logger;
}

export interface LoggerOptions {
  /** Name of the process: api, worker, agent. */
  readonly name: string;
  readonly level?: pino.LevelWithSilent;
  /** Default: standard error, so that standard output stays free for results. */
  readonly stream?: { write(line: string): void };
  readonly clock?: Clock;
}

/** The logger of a process. Lines carry the context around them (`withContext`); secrets are taken out by name and by looks. */
export function createLogger(options: LoggerOptions): Logger {
  const { name, level = 'info', stream, clock = systemClock } = options;
  return narrow(
    pino(
      {
        level,
        base: { name, pid: process.pid },
        timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
        mixin: () => ({ ...currentContext() }),
        formatters: { level: (label) => ({ level: label }), log: redactFields },
        // Errors are already plain by then; pino's own serializer would only add to them.
        serializers: { err: (error: unknown) => error },
        hooks: { streamWrite: redactText },
      },
      stream ?? pino.destination({ fd: 2, sync: true }),
    ),
  );
}

function narrow(inner: pino.Logger): Logger {
  const method = (level: pino.Level): LogMethod => {
    const write = (first: string | LogFields | Error, message?: string): void => {
      if (typeof first === 'string') inner[level](first);
      else if (isError(first)) inner[level]({ err: first }, message ?? first.message);
      else inner[level](first, message);
    };
    return write;
  };
  return {
    trace: method('trace'),
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    fatal: method('fatal'),
    // pino formats only the fields of a line, not those of a child.
    child: (fields) => narrow(inner.child(redactFields(fields))),
  };
}

/** Says nothing; for specs and the simulator. */
export const silentLogger: Logger = createLogger({
  name: 'silent',
  level: 'silent',
  stream: { write: () => undefined },
});
