import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Ask, NodeSpec } from '#market/packing';

const RECORDS = 'test/bench/packing/records';

/** Which models a third of the pods is bound to: none, or those of the trace's second file. */
export type PodFile = 'default' | 'gpuspec33';

/** The nodes as published, or another file with the same columns. */
export function nodes(file = join(RECORDS, 'nodes.csv.gz')): NodeSpec[] {
  return rows(file).map((row) => ({
    model: row.model || null,
    gpus: Number(row.gpu),
    cpuMilli: Number(row.cpu_milli),
    memoryMiB: Number(row.memory_mib),
  }));
}

/** One ask per pod; equal asks are one object. `file`: another file, with the columns of the published ones. */
export function pods(of: PodFile, file = join(RECORDS, 'pods.csv.gz')): Ask[] {
  const known = new Map<string, Ask>();
  return rows(file).map((row) => {
    const spec = (of === 'gpuspec33' ? row.gpu_spec33 : undefined) ?? row.gpu_spec ?? '';
    const models = [...new Set(spec.split('|').filter((m) => m !== ''))].toSorted();
    const ask: Ask = {
      cpuMilli: Number(row.cpu_milli),
      memoryMiB: Number(row.memory_mib),
      gpus: Number(row.num_gpu),
      gpuMilli: Number(row.gpu_milli),
      models: models.length === 0 ? null : models,
    };
    const key = JSON.stringify(ask);
    known.set(key, known.get(key) ?? ask);
    return known.get(key) ?? ask;
  });
}

function rows(file: string): Readonly<Record<string, string>>[] {
  const bytes = readFileSync(file);
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  const [head = '', ...lines] = text.trim().split('\n');
  const names = head.trim().split(',');
  return lines.map((line) => {
    const cells = line.trim().split(',');
    return Object.fromEntries(names.map((name, i) => [name, cells[i] ?? '']));
  });
}
