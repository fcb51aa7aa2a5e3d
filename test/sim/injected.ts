/** An error that a fault made; nobody's bug. */
export class Injected extends Error {
  override readonly name = 'Injected';
}
