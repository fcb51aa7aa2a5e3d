import { closeRun } from './run.mjs';

export default function stop() {
  const run = process.env.BERTH_TEST_RUN;
  if (run) closeRun(run);
}
