/** Told to the broker with the facts. A spec holds it equal to package.json, which a built agent may not have beside it. */
export const AGENT_VERSION = '0.1.0';
