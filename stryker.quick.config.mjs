import config, { quick } from './stryker.config.mjs';

/** `npm run test:mutation:quick`: a few files, for every change; what runs once when a file is loaded is left to the long run. */
export default { ...config, mutate: quick, ignoreStatic: true };
