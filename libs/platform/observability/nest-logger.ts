import type { LoggerService } from '@nestjs/common';
import type { Logger } from './logger.js';
import { isError } from './redact.js';

/** Nest's own lines through our logger. Nest puts the context last and, for errors, the stack before it. */
export function nestLogger(logger: Logger): LoggerService {
  const line = (level: 'debug' | 'info' | 'warn' | 'error' | 'fatal') => {
    return (message: unknown, ...rest: unknown[]): void => {
      const texts = rest.filter((item) => typeof item === 'string');
      const stack = texts.find((text) => text.includes('\n'));
      const context = texts.findLast((text) => !text.includes('\n'));
      const fields = { ...(context === undefined ? {} : { context }), ...(stack === undefined ? {} : { stack }) };
      if (isError(message)) logger[level]({ ...fields, err: message }, message.message);
      else if (typeof message === 'string') logger[level](fields, message);
      else logger[level]({ ...fields, detail: message }, context ?? 'nest');
    };
  };
  return {
    log: line('info'),
    warn: line('warn'),
    error: line('error'),
    fatal: line('fatal'),
    debug: line('debug'),
    verbose: line('debug'),
  };
}
