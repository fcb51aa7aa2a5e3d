/** Words at the end of a model's name that change its training or its storage, not its shape. */
const shapeless =
  /[-_.:](instruct|it|chat|hf|base|preview|thinking|pt|text|latest|dynamic|static|pertensor|fp16|bf16|fp8|nvfp4|mxfp4|fp4|awq|gptq|int4|int8|v0\.\d|v1\.0|w4a16|w8a8|gguf|q4_k_m|bnb|4bit|8bit|\d{4})$/i;

/** A name with what does not change the shape left out: "Meta-Llama-3.1-70B-Instruct-FP8" and "llama3.1:70b" are one. */
export function canonicalModel(name: string): string {
  let rest = name
    .trim()
    .replace(/^.*\//, '')
    .replace(/^meta-(?=llama|code)/i, '');
  for (let shorter = rest.replace(shapeless, ''); shorter !== rest; shorter = rest.replace(shapeless, ''))
    rest = shorter;
  return rest.toLowerCase().replace(/[^a-z0-9]/g, '');
}

/** Bits of a weight that a name promises ("-AWQ", "-FP8"); null when it says nothing. */
export function bitsOfName(name: string): number | null {
  if (/[-_](awq|gptq|int4|w4a16|4bit|nvfp4|mxfp4|fp4|q4_k_m)\b/i.test(name)) return 4;
  return /[-_](fp8|int8|w8a8|8bit)\b/i.test(name) ? 8 : null;
}

/** "Qwen3-235B-A22B" to 235e9 and 22e9; null when the name tells no size. Sizes such as 8x7B are left to the config. */
export function parametersOfName(name: string): { total: number; active: number } | null {
  const base = name.replace(/^.*\//, '');
  if (/\d+x\d/i.test(base) || /\d+E\b/.test(base)) return null;
  const sizes = [...base.matchAll(/(?<![a-z0-9.])(\d+(?:\.\d+)?)(b|m)(?![a-z0-9])/gi)];
  const total = sizes[0];
  // "OLMoE-1B-7B" names two sizes and does not say which is which.
  if (!total || sizes.length > 1) return null;
  const parameters = Number(total[1]) * (total[2]?.toLowerCase() === 'm' ? 1e6 : 1e9);
  const active = /[-_]A(\d+(?:\.\d+)?)B(?![a-z0-9])/i.exec(base);
  return { total: parameters, active: active ? Number(active[1]) * 1e9 : parameters };
}

/** Names most like `wanted`, best first: shared pairs of letters, so that swapped words and typing errors count little. */
export function nearestNames(wanted: string, names: Iterable<string>, most = 5): string[] {
  const target = pairs(canonicalModel(wanted));
  const scored: { name: string; score: number }[] = [];
  for (const name of names) {
    const own = pairs(canonicalModel(name));
    let shared = 0;
    for (const [pair, n] of target) shared += Math.min(n, own.get(pair) ?? 0);
    const score = (2 * shared) / (count(target) + count(own) || 1);
    if (score > 0.35) scored.push({ name, score });
  }
  return scored
    .sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1))
    .slice(0, most)
    .map((s) => s.name);
}

function pairs(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (let i = 0; i + 1 < text.length; i++) {
    const pair = text.slice(i, i + 2);
    found.set(pair, (found.get(pair) ?? 0) + 1);
  }
  return found;
}

function count(pairsOf: ReadonlyMap<string, number>): number {
  let n = 0;
  for (const k of pairsOf.values()) n += k;
  return n;
}
