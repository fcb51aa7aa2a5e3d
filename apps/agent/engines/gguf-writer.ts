/**
 * Writer for GGUF v3, the file format of llama.cpp (layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md):
 * header, typed key-value metadata, tensor table, then tensor data, everything little-endian and aligned to 32 bytes.
 */

export type GgufValue =
  | { readonly type: 'u32' | 'i32' | 'f32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'f32s' | 'i32s'; readonly value: readonly number[] };

export interface GgufTensor {
  readonly name: string;
  /** Fastest-moving dimension first, as ggml counts: [columns, rows]. */
  readonly shape: readonly number[];
  readonly format: 'f32' | 'f16';
  readonly values: Float32Array;
}

const ALIGNMENT = 32;
const VALUE_TYPES = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8 } as const;
const ARRAY_TYPE = 9;
const TENSOR_TYPES = { f32: 0, f16: 1 } as const;

/** The whole file as one buffer. */
export function writeGguf(metadata: Readonly<Record<string, GgufValue>>, tensors: readonly GgufTensor[]): Buffer {
  const keys = Object.entries(metadata);
  const head: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(keys.length)];
  for (const [key, value] of keys) head.push(text(key), metadataValue(value));

  const data: Buffer[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    const elements = tensor.shape.reduce((a, b) => a * b, 1);
    if (elements !== tensor.values.length) {
      throw new RangeError(`${tensor.name}: ${tensor.values.length} values for ${elements} elements`);
    }
    head.push(text(tensor.name), u32(tensor.shape.length), ...tensor.shape.map(u64));
    head.push(u32(TENSOR_TYPES[tensor.format]), u64(offset));
    const bytes = pad(tensor.format === 'f32' ? f32s(tensor.values) : f16s(tensor.values));
    data.push(bytes);
    offset += bytes.length;
  }
  return Buffer.concat([pad(Buffer.concat(head)), ...data]);
}

/** Nearest half-precision bit pattern (ties away from zero); what is too large becomes infinity. */
export function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65_520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | Math.round(size * 2 ** 24);
  let exponent = Math.floor(Math.log2(size));
  if (2 ** exponent > size) exponent--;
  // A fraction that rounds up to 1024 carries into the exponent by plain addition, as the format intends.
  return sign | (((exponent + 15) << 10) + Math.round((size / 2 ** exponent - 1) * 1024));
}

function metadataValue(entry: GgufValue): Buffer {
  switch (entry.type) {
    case 'strings':
      return array(VALUE_TYPES.string, entry.value.map(text));
    case 'f32s':
      return array(VALUE_TYPES.f32, entry.value.map(f32));
    case 'i32s':
      return array(VALUE_TYPES.i32, entry.value.map(i32));
    case 'string':
      return Buffer.concat([u32(VALUE_TYPES.string), text(entry.value)]);
    case 'bool':
      return Buffer.concat([u32(VALUE_TYPES.bool), Buffer.from([entry.value ? 1 : 0])]);
    case 'u32':
      return Buffer.concat([u32(VALUE_TYPES.u32), u32(entry.value)]);
    case 'i32':
      return Buffer.concat([u32(VALUE_TYPES.i32), i32(entry.value)]);
    case 'f32':
      return Buffer.concat([u32(VALUE_TYPES.f32), f32(entry.value)]);
  }
}

function array(type: number, items: readonly Buffer[]): Buffer {
  return Buffer.concat([u32(ARRAY_TYPE), u32(type), u64(items.length), ...items]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}

function u32(value: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeUInt32LE(value);
  return b;
}

function i32(value: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeInt32LE(value);
  return b;
}

function f32(value: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeFloatLE(value);
  return b;
}

function u64(value: number): Buffer {
  const b = Buffer.alloc(8);
  b.writeBigUInt64LE(BigInt(value));
  return b;
}

function f32s(values: Float32Array): Buffer {
  const b = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => b.writeFloatLE(value, i * 4));
  return b;
}

function f16s(values: Float32Array): Buffer {
  const b = Buffer.alloc(values.length * 2);
  values.forEach((value, i) => b.writeUInt16LE(toHalf(value), i * 2));
  return b;
}

function pad(bytes: Buffer): Buffer {
  const rest = bytes.length % ALIGNMENT;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(ALIGNMENT - rest)]);
}
