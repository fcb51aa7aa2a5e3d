import { Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import { JobQueues, type JobQueuesOptions } from './job-queues.js';

/** Injects the `WakeQueue`. */
export const WAKE_QUEUE = Symbol('WAKE_QUEUE');

/** Opens the queues at boot for the whole application and closes them at shutdown, after what runs has finished. */
@Module({})
export class QueueModule implements OnApplicationShutdown {
  constructor(private readonly queues: JobQueues) {}

  static open(options: JobQueuesOptions): DynamicModule {
    return {
      module: QueueModule,
      global: true,
      providers: [
        { provide: JobQueues, useFactory: () => JobQueues.open(options) },
        { provide: WAKE_QUEUE, useExisting: JobQueues },
      ],
      exports: [JobQueues, WAKE_QUEUE],
    };
  }

  async onApplicationShutdown(): Promise<void> {
    await this.queues.close();
  }
}
