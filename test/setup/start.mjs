import { openRun } from './run.mjs';

/** Workers are started after this and inherit the variable; libs/testing reads it. */
export default function start() {
  process.env.BERTH_TEST_RUN = openRun();
}
