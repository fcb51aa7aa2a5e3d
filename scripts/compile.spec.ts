import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile, nodeBin } from './lib/prepare.mjs';

const APP = `
import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { port } from '../../libs/kernel/port.js';
@Injectable() class Anchor { readonly depth: number = port; }
@Injectable() class Ship { constructor(readonly anchor: Anchor) {} }
@Module({ providers: [Anchor, Ship] }) class Harbour {}
const app = await NestFactory.createApplicationContext(Harbour, { logger: false });
console.log(Harbour.name, app.get(Ship).anchor.depth);
`;

/** A checkout of its own inside ours, so that node_modules is found. */
let base = '';
const source = (path: string): string => join(base, path);
const write = (path: string, text: string): void => {
  mkdirSync(join(source(path), '..'), { recursive: true });
  writeFileSync(source(path), text);
};

beforeAll(() => {
  const scratch = join(import.meta.dirname, '..', '.berth');
  mkdirSync(scratch, { recursive: true });
  base = mkdtempSync(join(scratch, 'compile-'));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

describe('the build', () => {
  it('keeps what dependency injection needs: parameter types and class names', async () => {
    write('apps/harbour/main.ts', APP);
    write('libs/kernel/port.ts', 'export const port = 7;\n');
    write('libs/kernel/port.spec.ts', 'throw new Error("never built");\n');
    expect(await compile({ base })).toEqual({ compiled: 2, removed: 0, total: 2 });
    const said = execFileSync(nodeBin(), [source('dist/apps/harbour/main.js')], { encoding: 'utf8' });
    expect(said).toBe('Harbour 7\n');
  });

  it('points stack traces at the sources', async () => {
    write('libs/kernel/fails.ts', 'type Nothing = never;\n\nthrow new Error("here" satisfies string);\n');
    await compile({ base });
    const run = (): string =>
      execFileSync(nodeBin(), ['--enable-source-maps', source('dist/libs/kernel/fails.js')], {
        stdio: 'pipe',
      }).toString();
    expect(run).toThrow(/libs\/kernel\/fails\.ts:3:7/);
  });

  it('compiles only what changed and removes what lost its source', async () => {
    expect(await compile({ base })).toMatchObject({ compiled: 0, removed: 0 });
    write('libs/kernel/port.ts', 'export const port = 4242;\n');
    rmSync(source('libs/kernel/fails.ts'));
    expect(await compile({ base })).toEqual({ compiled: 1, removed: 1, total: 2 });
    expect(readFileSync(source('dist/libs/kernel/port.js'), 'utf8')).toContain('4242');
    expect(existsSync(source('dist/libs/kernel/fails.js'))).toBe(false);
    rmSync(source('dist/libs/kernel/port.js'));
    expect(await compile({ base })).toMatchObject({ compiled: 1 });
  });

  it('names the file that does not parse, builds the rest, and tries it again next time', async () => {
    write('libs/kernel/wrong.ts', 'const = 1;\n');
    write('libs/kernel/right.ts', 'export const right = true;\n');
    await expect(compile({ base })).rejects.toThrow(/libs\/kernel\/wrong\.ts: /);
    expect(existsSync(source('dist/libs/kernel/right.js'))).toBe(true);
    await expect(compile({ base })).rejects.toThrow(/wrong\.ts/);
    write('libs/kernel/wrong.ts', 'export const wrong = false;\n');
    expect(await compile({ base })).toMatchObject({ compiled: 1 });
  });
});
