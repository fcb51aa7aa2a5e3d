import { describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';

const root = join(import.meta.dirname, '../..');
const text = (path: string): string => readFileSync(join(root, path), 'utf8');

const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({
      dev: z.boolean().optional(),
      resolved: z.string().optional(),
      link: z.boolean().optional(),
      hasInstallScript: z.boolean().optional(),
      optional: z.boolean().optional(),
    }),
  ),
});
const manifest = z.object({ allowScripts: z.record(z.string(), z.boolean()) }).parse(JSON.parse(text('package.json')));

const PERMISSIVE = new Set([
  'MIT',
  'MIT-0',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
  'CC0-1.0',
  'Python-2.0',
  'CC-BY-4.0',
  'PostgreSQL',
  'Artistic-2.0',
  'WTFPL',
]);

function permissive(expression: string): boolean {
  return expression
    .replace(/[()]/g, ' ')
    .split(/\s+OR\s+/)
    .some((all) => all.split(/\s+AND\s+/).every((one) => PERMISSIVE.has(one.trim())));
}

/** What a package says only in its licence file. */
function licenceFileOf(path: string): string {
  const file = ['LICENSE', 'LICENSE.md', 'LICENSE.txt']
    .map((name) => join(path, name))
    .find((f) => existsSync(join(root, f)));
  return file !== undefined && text(file).startsWith('MIT License') ? 'MIT' : 'none stated';
}

describe('the repository', () => {
  const documents = [
    'README.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    ...readdirSync(join(root, 'docs'))
      .filter((f) => f.endsWith('.md'))
      .map((f) => `docs/${f}`),
  ];

  it.each(documents)('%s links only to what is there', (document) => {
    const links = [...text(document).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map(([, link = '']) => link)
      .filter((link) => !/^[a-z]+:/.test(link));
    for (const link of links) expect([link, existsSync(resolve(root, dirname(document), link))]).toEqual([link, true]);
  });

  it('says of every package with an install script whether it may run', () => {
    const { packages } = lockSchema.parse(JSON.parse(text('package-lock.json')));
    const names = Object.entries(packages)
      .filter(([, p]) => p.hasInstallScript)
      .map(([path]) => path.replace(/^.*node_modules\//, ''));
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !(name in manifest.allowScripts))).toEqual([]);
  });

  it('names no registry in the lock', () => {
    const { packages } = lockSchema.parse(JSON.parse(text('package-lock.json')));
    expect(
      Object.entries(packages)
        .filter(([, p]) => p.resolved !== undefined && !p.link && /^https?:/.test(p.resolved))
        .map(([name]) => name),
    ).toEqual([]);
  });

  it('depends at run time only on permissively licensed packages', () => {
    const { packages } = lockSchema.parse(JSON.parse(text('package-lock.json')));
    const wrong: string[] = [];
    for (const [path, { dev, link }] of Object.entries(packages)) {
      if (path === '' || dev || link || !existsSync(join(root, path, 'package.json'))) continue;
      const { license } = z
        .object({ license: z.union([z.string(), z.object({ type: z.string() })]).optional() })
        .parse(JSON.parse(text(join(path, 'package.json'))));
      const said = typeof license === 'object' ? license.type : (license ?? licenceFileOf(path));
      if (!permissive(said)) wrong.push(`${path}: ${said}`);
    }
    expect(wrong).toEqual([]);
  });

  it('has the licence, and a notice for each kind of data that it ships', () => {
    expect(text('LICENSE')).toContain('Apache License');
    expect(text('NOTICE')).toContain('data/texts');
  });
});
