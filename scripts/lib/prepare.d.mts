/** What one build did; `total` counts the sources. */
export interface Built {
  readonly compiled: number;
  readonly removed: number;
  readonly total: number;
}
type Say = (line: string) => void;

export function compile(options?: { all?: boolean; base?: string }): Promise<Built>;
export function ensureInstalled(say?: Say): Promise<void>;
export function ensureBuilt(say?: Say, options?: { all?: boolean }): Promise<Built>;
/** Path of the Node that the repository pins. */
export function nodeBin(): string;
