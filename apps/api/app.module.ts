import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { deriveKey, keyEncryptionKey, Vault } from '#platform/secrets';
import { controllers, routes } from './controllers.js';
import type { Ground } from './ground.js';
import { AccessGuard } from './http/access.guard.js';
import { CallInterceptor } from './http/call.interceptor.js';
import { Cursors } from './http/lists/cursor.js';
import { Idempotency } from './http/idempotency.js';
import { RequestLimits } from './http/limits.js';
import { PathTable } from './http/path-table.js';
import { LOGGER, ProblemFilter } from './http/problems/problem.filter.js';
import { Stopping } from './http/stopping.js';
import { ApiDocument, openApiDocument } from './document.js';
import { services } from './services.js';

@Module({})
export class AppModule {
  static on(ground: Ground): DynamicModule {
    const { store, secret, logger } = ground;
    return {
      module: AppModule,
      controllers: [...controllers],
      providers: [
        ...services(ground),
        { provide: LOGGER, useValue: logger },
        { provide: RequestLimits, useValue: new RequestLimits(ground.config.rateLimitPerMinute, ground.redis) },
        Stopping,
        { provide: Cursors, useValue: new Cursors(deriveKey(secret, 'page-cursor')) },
        {
          provide: Idempotency,
          useValue: new Idempotency(
            store,
            new Vault([keyEncryptionKey(secret)]),
            deriveKey(secret, 'idempotency-digest'),
          ),
        },
        { provide: PathTable, useValue: new PathTable(routes()) },
        { provide: ApiDocument, useFactory: () => new ApiDocument(openApiDocument(routes())) },
        { provide: APP_GUARD, useClass: AccessGuard },
        { provide: APP_INTERCEPTOR, useClass: CallInterceptor },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
