/** What controllers are given that has no class of its own. */
export const STORE = Symbol('Store');
export const BELL = Symbol('Bell');
export const BROKER = Symbol('Broker');
