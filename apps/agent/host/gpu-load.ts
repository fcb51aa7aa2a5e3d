import type { z } from 'zod';
import type { telemetrySchema } from '#contracts';

export type Telemetry = z.infer<typeof telemetrySchema>;
export type GpuLoad = Telemetry['gpus'][number];
