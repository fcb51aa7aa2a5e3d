import config, { quick } from './stryker.config.mjs';

/** `npm run test:mutation:quick`: a few files, for every change. */
export default { ...config, mutate: quick };
