import { Controller } from '@nestjs/common';
import { sizingRequestSchema, sizingView } from '#contracts';
import { Sizing } from '#market/sizing';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';

const size = route({
  method: 'POST',
  path: '/v1/sizing',
  tag: 'Placement',
  name: 'size',
  summary: 'Say what a workload needs and costs',
  description:
    'Shapes (accelerator, count, split, precision) that hold a model and its load, each with its memory, the requests it holds, predicted speed with an interval, and the cost per million tokens on the cheapest offers. The workload is a model by name or config.json, a trace of requests, GPU-hours of a reference accelerator, or plain hardware. Nothing is stored or rented. A trace comes as its summary or as text up to 900 kB; `berth size --trace FILE` summarises files of any size.',
  access: { roles: ['member', 'admin'] },
  body: sizingRequestSchema,
  returns: sizingView,
});

@Controller()
export class SizingController {
  constructor(private readonly sizing: Sizing) {}

  @Serve(size)
  size({ body }: Call<typeof size>) {
    return this.sizing.size(body);
  }
}
