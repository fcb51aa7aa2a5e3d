import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { routes } from '../../apps/api/controllers.js';
import { VARIABLE_NAMES } from '#platform/config';

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'docker');

const composeSchema = z.object({
  services: z.record(
    z.string(),
    z.object({
      image: z.string().optional(),
      build: z.object({ context: z.string(), dockerfile: z.string() }).optional(),
      command: z.array(z.string()).optional(),
      environment: z.record(z.string(), z.string()).optional(),
      volumes: z.array(z.string()).optional(),
      depends_on: z
        .record(
          z.string(),
          z.object({ condition: z.enum(['service_started', 'service_healthy', 'service_completed_successfully']) }),
        )
        .optional(),
      healthcheck: z.object({ test: z.array(z.string()) }).optional(),
    }),
  ),
  volumes: z.record(z.string(), z.unknown()),
});

const compose = composeSchema.parse(parse(readFileSync(join(folder, 'compose.yaml'), 'utf8'), { merge: true }));
const services = Object.entries(compose.services);
const ours = services.filter(([, s]) => s.build);

describe('docker/compose.yaml', () => {
  it('runs PostgreSQL, a Redis-compatible queue, the API and the worker', () => {
    expect(Object.keys(compose.services).sort()).toEqual(['api', 'postgres', 'valkey', 'worker']);
  });

  it('builds from files that exist', () => {
    for (const [, { build }] of ours) {
      const context = resolve(folder, build?.context ?? '');
      expect(existsSync(join(context, build?.dockerfile ?? ''))).toBe(true);
      expect(context).toBe(root);
    }
  });

  it('starts programs that exist', () => {
    for (const [, { command }] of ours) {
      expect(command?.[0]).toBe('node');
      const source = (command?.[1] ?? '').replace(/^dist\//, '').replace(/\.js$/, '.ts');
      expect([source, existsSync(join(root, source))]).toEqual([source, true]);
    }
  });

  it('sets only variables that the configuration knows', () => {
    const known = new Set<string>([...VARIABLE_NAMES]);
    for (const [name, { environment }] of ours) {
      for (const variable of Object.keys(environment ?? {}))
        expect([name, variable, known.has(variable)]).toEqual([name, variable, true]);
    }
  });

  it('demands every secret instead of shipping one', () => {
    for (const [, { environment }] of services) {
      for (const [variable, value] of Object.entries(environment ?? {})) {
        if (/SECRET|PASSWORD|DATABASE_URL/.test(variable)) expect(value).toMatch(/\$\{[A-Z_]+:\?/);
      }
    }
  });

  it('depends only on services that are there and say when they are healthy', () => {
    for (const [, { depends_on }] of services) {
      for (const [other, { condition }] of Object.entries(depends_on ?? {})) {
        expect(compose.services[other]).toBeDefined();
        if (condition === 'service_healthy') expect(compose.services[other]?.healthcheck).toBeDefined();
      }
    }
  });

  it('mounts only volumes that it declares', () => {
    for (const [, { volumes }] of services) {
      for (const volume of volumes ?? []) expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0]);
    }
  });

  it('asks for health at paths that are served', () => {
    const served = new Set(routes().map((r) => `${r.method} ${r.path}`));
    for (const [name, { healthcheck }] of ours) {
      const path = /127\.0\.0\.1:\d+(\/[a-z/]+)/.exec(healthcheck?.test.join(' ') ?? '')?.[1];
      expect([name, served.has(`GET ${path}`)]).toEqual([name, true]);
    }
  });
});

describe('docker/Dockerfile', () => {
  const text = readFileSync(join(folder, 'Dockerfile'), 'utf8');
  it('copies only what exists and does not run as root', () => {
    const copied = [...text.matchAll(/^COPY (?:--\S+ )*(.+)$/gm)].flatMap(([, rest = '']) =>
      rest.split(' ').slice(0, -1),
    );
    const made = new Set(['/berth/node_modules', '/berth/dist']);
    for (const path of copied) {
      if (made.has(path)) continue;
      expect([path, existsSync(join(root, path.replace(/^\/berth\//, '')))]).toEqual([path, true]);
    }
    expect(text).toMatch(/^USER node$/m);
  });
});
