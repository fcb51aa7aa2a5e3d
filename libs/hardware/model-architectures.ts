import { readFileSync } from 'node:fs';
import { dataFile } from './data-files.js';
import type { KvLayout } from './sizing.js';

/** One row of `data/model-architectures.csv`. */
export interface ModelArchitecture {
  readonly model: string;
  readonly layers: number | null;
  readonly hiddenSize: number | null;
  /** null where the cache follows no layout we know: then its size must be measured. */
  readonly kv: KvLayout | null;
  /** Bytes per token at 2 bytes per element as the file derives them, to check ours against; null = blank. */
  readonly derivedKvBytesPerToken: number | null;
}

const positive = (text: string | undefined): number | null => (text && Number(text) > 0 ? Number(text) : null);

/** "full_attention:12;linear_attention:36": only full-attention layers keep a cache that grows with the context. */
function growingLayers(row: ReadonlyMap<string, string>): number | null {
  const stated = positive(row.get('full_attn_layers'));
  if (stated !== null) return stated;
  const types = row.get('layer_types');
  if (!types) return positive(row.get('num_hidden_layers'));
  const counts = new Map(types.split(';').map((t) => [t.split(':')[0], t.split(':')[1]]));
  return positive(counts.get('full_attention') ?? counts.get('attention'));
}

function kvLayout(row: ReadonlyMap<string, string>): KvLayout | null {
  const layers = growingLayers(row);
  if (layers === null) return null;
  const kvLoraRank = positive(row.get('kv_lora_rank'));
  const ropeHeadDim = positive(row.get('qk_rope_head_dim'));
  if (kvLoraRank !== null && ropeHeadDim !== null) return { attention: 'latent', layers, kvLoraRank, ropeHeadDim };
  // A rotary part without a latent rank is a layout of its own (DeepSeek V4).
  if (ropeHeadDim !== null) return null;
  const kvHeads = positive(row.get('num_key_value_heads'));
  const headDim = positive(row.get('head_dim'));
  return kvHeads !== null && headDim !== null ? { attention: 'heads', layers, kvHeads, headDim } : null;
}

/** The rows of the CSV, field by name; the only quoted field is the note, which holds no line break. */
export function architectureRows(csv: string): ReadonlyMap<string, string>[] {
  const [head = '', ...lines] = csv.trimEnd().split(/\r?\n/);
  const names = head.split(',');
  return lines.map((line) => {
    const cells = [...line.matchAll(/("([^"]*)"|[^,]*)(,|$)/g)].map((m) => m[2] ?? m[1] ?? '');
    return new Map(names.map((name, i) => [name, cells[i] ?? '']));
  });
}

export function parseModelArchitectures(csv: string): ModelArchitecture[] {
  return architectureRows(csv).map((row) => {
    return {
      model: row.get('model') ?? '',
      layers: positive(row.get('num_hidden_layers')),
      hiddenSize: positive(row.get('hidden_size')),
      kv: kvLayout(row),
      derivedKvBytesPerToken: positive(row.get('derived_kv_bytes_per_token_bf16')),
    };
  });
}

/** The architectures shipped with Berth. Reads a file: call once. */
export function loadModelArchitectures(): ModelArchitecture[] {
  return parseModelArchitectures(readFileSync(dataFile('libs/hardware/data/model-architectures.csv'), 'utf8'));
}
