import type { RouteSpec } from './route.js';

/** Which methods a path has; asked only after the router found none, to tell 405 from 404. */
export class PathTable {
  private readonly rows: readonly { pattern: RegExp; method: string }[];

  constructor(specs: readonly RouteSpec[]) {
    this.rows = specs.map(({ path, method }) => ({
      method,
      pattern: new RegExp(`^${path.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{\w+\}/g, '[^/]+')}$`),
    }));
  }

  methodsOf(url: string): string[] {
    const [path = ''] = url.split('?');
    const own = this.rows.filter((row) => row.pattern.test(path)).map((row) => row.method);
    return [...new Set(own.includes('GET') ? [...own, 'HEAD'] : own)].sort();
  }
}
