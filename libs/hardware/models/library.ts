import { readFileSync } from 'node:fs';
import { dataFile } from '../data-files.js';
import { architectureRows } from '../model-architectures.js';
import { readModelConfig } from './config-json.js';
import { isJson } from './config-fields.js';
import { bitsOfName, canonicalModel, nearestNames, parametersOfName } from './names.js';
import type { ModelProfile } from './profile.js';

export interface KnownModel {
  readonly name: string;
  readonly config: unknown;
  /** The source rounds widths: a size in the name goes before what is counted. */
  readonly loose?: boolean;
}

/** Models known by name. */
export class ModelLibrary {
  private readonly exact = new Map<string, ModelProfile>();
  private readonly canonical = new Map<string, ModelProfile>();
  /** Names whose config says too little to size them. */
  private readonly unsized = new Map<string, string>();

  constructor(entries: readonly KnownModel[]) {
    for (const { name, config, loose } of entries) {
      const read = readModelConfig(config, name);
      if (!read.ok) {
        this.unsized.set(canonicalModel(name), read.problems.map((p) => `${p.field} ${p.message}`).join('; '));
        continue;
      }
      const profile = statedByName(read.profile, loose === true);
      this.exact.set(name.toLowerCase(), profile);
      const key = canonicalModel(name);
      // The unquantized form stands for the family: whoever wants fewer bits says so.
      const before = this.canonical.get(key);
      if (!before || before.publishedBits < profile.publishedBits) this.canonical.set(key, profile);
    }
  }

  get names(): string[] {
    return [...this.exact.values()].map((p) => p.name);
  }

  /** The model of that name, or of the same shape under another spelling; else what comes near and why it is not there. */
  find(name: string): ModelProfile | { readonly nearest: readonly string[]; readonly incomplete: string | null } {
    const exact = this.exact.get(name.trim().toLowerCase());
    if (exact) return exact;
    const key = canonicalModel(name);
    const family = key === '' ? undefined : this.canonical.get(key);
    if (family) {
      const bits = bitsOfName(name);
      return { ...family, name, publishedBits: bits ?? family.publishedBits };
    }
    return { nearest: nearestNames(name, this.names), incomplete: this.unsized.get(key) ?? null };
  }
}

export function isProfile(found: ReturnType<ModelLibrary['find']>): found is ModelProfile {
  return 'cache' in found;
}

/**
 * How far the logarithm of what is counted may be from the size in the name. Names round, and leave embeddings out
 * ("gemma-7b" has 8.5B): only what is further off says that the config lacks something.
 */
const BELIEVED_WITHIN = 0.35;
const BELIEVED_WITHIN_LOOSE = 0.1;

function statedByName(read: ModelProfile, loose: boolean): ModelProfile {
  const bits = bitsOfName(read.name);
  const profile = bits !== null && bits < read.publishedBits ? { ...read, publishedBits: bits } : read;
  const stated = parametersOfName(profile.name);
  if (stated === null) return profile;
  const off = (counted: number, said: number): boolean =>
    Math.abs(Math.log(counted / said)) > (loose ? BELIEVED_WITHIN_LOOSE : BELIEVED_WITHIN);
  const wrongTotal = off(profile.parameters, stated.total);
  const isMixture = profile.experts !== null && stated.active < stated.total;
  const wrongActive = isMixture && off(profile.activeParameters, stated.active);
  if (!wrongTotal && !wrongActive) return profile;
  const total = wrongTotal ? stated.total : profile.parameters;
  return {
    ...profile,
    parameters: total,
    activeParameters: isMixture
      ? stated.active
      : profile.experts === null
        ? total
        : (profile.activeParameters / profile.parameters) * total,
    parametersFrom: 'name',
    notes: [...profile.notes, 'the number of parameters is the one in the name: the config tells another'],
  };
}

/** A row of the shipped table as the config it was read from. */
function configOfRow(row: ReadonlyMap<string, string>): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const [field, text] of row) {
    if (text === '' || /^derived|^(model|architectures|layer_types|full_attn_layers|quant_method|source)$/.test(field))
      continue;
    config[field] =
      text === 'True' ? true : text === 'False' ? false : Number.isNaN(Number(text)) ? text : Number(text);
  }
  const method = row.get('quant_method');
  if (method) config['quantization_config'] = { quant_method: method === 'modelopt' ? 'modelopt nvfp4' : method };
  const layers = Number(row.get('full_attn_layers') ?? '');
  if (layers > 0) config['linear_attn_config'] = { full_attn_layers: Array.from({ length: layers }, (_, i) => i + 1) };
  const types = row.get('layer_types');
  if (types) Object.assign(config, layersOf(types));
  return config;
}

/** "attention:8;mamba:40;moe:40" in the form in which its family writes it; the order of layers changes no size. */
function layersOf(summary: string): Record<string, unknown> {
  const parts = summary.split(';').map((p) => p.split(':') as [string, string]);
  const letters: Readonly<Record<string, string>> = { attention: '*', mamba: 'M', mlp: '-', moe: 'E' };
  if (parts.every(([word]) => letters[word] !== undefined))
    return { hybrid_override_pattern: parts.map(([word, n]) => (letters[word] ?? '').repeat(Number(n))).join('') };
  return { layer_types: parts.flatMap(([word, n]) => Array<string>(Number(n)).fill(word)) };
}

/** The shipped models: the table of configs and the families beside it. Reads two files: call once. */
export function loadModelLibrary(): ModelLibrary {
  const rows = architectureRows(readFileSync(dataFile('libs/hardware/data/model-architectures.csv'), 'utf8'));
  const more = readFileSync(dataFile('libs/hardware/data/model-configs.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line): KnownModel => {
      const parsed: unknown = JSON.parse(line);
      if (!isJson(parsed) || typeof parsed['model'] !== 'string')
        throw new Error('a line of model-configs.jsonl has no model');
      const { model, ...config } = parsed;
      return { name: model, config };
    });
  const table = rows.map((row): KnownModel => {
    const name = row.get('model') ?? '';
    return { name, config: configOfRow(row), loose: row.get('source') !== 'aiconfigurator' };
  });
  // Encoders generate nothing: there is no cache and no output token to size.
  return new ModelLibrary([...table.filter(({ name }) => !name.startsWith('bert')), ...more]);
}
