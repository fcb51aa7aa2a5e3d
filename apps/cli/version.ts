/** Told by `berth --version`. A spec holds it equal to package.json, which is not read at each start. */
export const VERSION = '0.1.0';
