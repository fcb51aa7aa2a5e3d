import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, found]) => found ?? '');

describe.each(['docs/testing.md', 'docs/operations.md'])('%s', (page) => {
  it('names scripts that are there', () => {
    const named = all(read(page), /\bnpm run (?:--silent )?([\w:-]+)/g);
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  it('names paths of the checkout that are there', () => {
    const named = all(read(page), /`((?:apps|libs|test|scripts|docs|docker|migrations)\/[\w./-]+)`/g);
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});

describe('docs/testing.md', () => {
  const page = read('docs/testing.md');

  it('names every suite and bench', () => {
    const suites = Object.keys(scripts).filter((name) => /^(test|bench):/.test(name));
    expect(suites.filter((name) => !page.includes(`npm run ${name}`))).toEqual([]);
  });

  it('gives the simulator’s options by the names that it takes', () => {
    const source = read('test/sim/main.ts');
    const [, options = ''] = /options: \{\n([\s\S]*?)\n {2}\},/.exec(source) ?? [];
    const taken = all(options, /^\s+'?([\w-]+)'?: \{/gm);
    const lines = page.split('\n').filter((line) => line.startsWith('npm run test:sim'));
    const given = lines.flatMap((line) => all(line, / --([\w-]+)/g));
    expect(given.length).toBeGreaterThan(0);
    expect(given.filter((name) => !taken.includes(name))).toEqual([]);
  });
});

describe('docs/operations.md', () => {
  it('gives commands of `berth` that are in docs/cli.md', () => {
    const commands = new Set(all(read('docs/cli.md'), /^### (berth .+)$/gm));
    const given = all(read('docs/operations.md'), /`(berth [^`]+)`/g).map((line) =>
      line.replace(/ --profile \w+/, '').replace(/ ["A-Z-].*$/, ''),
    );
    expect(given.length).toBeGreaterThan(0);
    expect(given.filter((line) => ![...commands].some((c) => c === line))).toEqual([]);
  });
});
