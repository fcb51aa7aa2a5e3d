import type { Accelerator, AcceleratorForm } from './accelerator.js';
import { accelerator, accelerators } from './accelerators.js';

export interface NameHints {
  /** Memory of one accelerator as the source tells it. */
  readonly vramGiB?: number | undefined;
  /** Form or link word of the source: "SXM", "PCIe", "NVL", "NVLink". */
  readonly form?: string | null | undefined;
  /** Instance type; some imply the form (p4d, a3-highgpu, BM.GPU, ND96). */
  readonly instance?: string | undefined;
}

interface ParsedName {
  readonly family: string | null;
  readonly form: AcceleratorForm;
  readonly vramGiB: number | null;
}

const compact = (s: string): string => s.toLowerCase().replace(/[^a-z0-9]/g, '');

/** Spellings that are not just the family with other separators. Keys are compact. */
const aliases: Readonly<Record<string, string>> = {
  a6000: 'RTX-A6000',
  a5000: 'RTX-A5000',
  a4500: 'RTX-A4500',
  a4000: 'RTX-A4000',
  rtx6000pro: 'RTX-PRO-6000',
  rtxpro6000server: 'RTX-PRO-6000',
  rtxproserver6000: 'RTX-PRO-6000',
  rtxpro6000blackwell: 'RTX-PRO-6000',
  rtxpro6000blackwellserver: 'RTX-PRO-6000',
  rtxpro6000blackwellworkstation: 'RTX-PRO-6000',
  rtxpro6000bse: 'RTX-PRO-6000',
  rtxpro4500blackwell: 'RTX-PRO-4500',
  rtx4500pro: 'RTX-PRO-4500',
  rtx4090highfreq: 'RTX-4090',
  rtx5090highfreq: 'RTX-5090',
  h100mega: 'H100',
  mi300: 'MI300X',
  radeonprov520: 'Radeon-V520',
  radeonprov620: 'Radeon-V620',
  radeonprov710: 'Radeon-V710',
  v520: 'Radeon-V520',
  v620: 'Radeon-V620',
  v710: 'Radeon-V710',
  inferentia: 'Inferentia1',
  trainium: 'Trainium1',
  gaudi: 'Gaudi1',
  gaudihl205: 'Gaudi1',
  ai100: 'Qualcomm-AI100',
  cloudai100: 'Qualcomm-AI100',
  tpuv5lite: 'TPU-v5e',
  tpuv5litepod: 'TPU-v5e',
};

const families = new Map<string, string>();
for (const a of accelerators) {
  families.set(compact(a.family), a.family);
  // "3080Ti" stands for RTX-3080-Ti; workstation names keep their prefix.
  if (/^RTX-\d{4}(-Ti)?$/.test(a.family)) families.set(compact(a.family).replace('rtx', ''), a.family);
}
for (const [key, family] of Object.entries(aliases)) families.set(key, family);

/** A bare "RTX 6000" / "RTX 5000" / "RTX 4000" names three cards of three generations; memory tells which. */
const byMemory: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    rtx6000: ['RTX-PRO-6000', 'RTX-6000-Ada', 'Quadro-RTX-6000'],
    rtx5000: ['RTX-5000-Ada', 'Quadro-RTX-5000'],
    rtx4000: ['RTX-4000-Ada', 'Quadro-RTX-4000'],
    // One vendor writes the 96 GB card as "RTX PRO-A6000".
    rtxproa6000: ['RTX-PRO-6000', 'RTX-A6000'],
  }),
);

const sxmInstances = /^(p4|p5|p6|a2-|a3-|BM\.GPU\.(A100|A4|H100|H200)|(Standard_)?ND96)/i;

function formOf(word: string): AcceleratorForm {
  if (/\bpci-?e/i.test(word)) return 'PCIe';
  if (/\bsxm\d?\b|\bhgx\b/i.test(word)) return 'SXM';
  if (/\bnvl\b/i.test(word)) return 'NVL';
  // "A100 NVLink" is how some vendors write the SXM board; the PCIe card with a bridge says PCIe too.
  if (/\bnvlink\b/i.test(word)) return 'SXM';
  // The driver calls an H100 SXM "NVIDIA H100 80GB HBM3"; the PCIe card has HBM2e.
  if (/\bhbm3e?\b/i.test(word)) return 'SXM';
  if (/\bhbm2e\b/i.test(word)) return 'PCIe';
  return null;
}

function familyOf(key: string, vramGiB: number | null): string | null {
  const cards = byMemory.get(key);
  if (cards && vramGiB !== null) return cards.find((name) => near(accelerator(name)?.vramGiB ?? 0, vramGiB)) ?? null;
  return families.get(key) ?? null;
}

/** Within 10 %: price lists round, and drivers hold some memory back. */
function near(nominalGiB: number, statedGiB: number): boolean {
  return nominalGiB > 0 && Math.abs(nominalGiB - statedGiB) / nominalGiB <= 0.1;
}

function spacedOf(raw: string): string {
  return raw
    .toLowerCase()
    .replace(/[_()/,]/g, ' ')
    .replace(/(?<=[a-z0-9])-(?=[a-z0-9])/g, ' ')
    .replace(/\s+/g, ' ');
}

/** What is left of a name without memory, form and makers. */
function bareOf(spaced: string): string {
  return spaced
    .replace(/\b\d{1,3}\s?g(i?b)?\b/g, ' ')
    .replace(/\b(sxm\d?|pci ?e|pcie|nvl|nvlink|hgx|cts|hbm\de?|oam)\b/g, ' ')
    .replace(
      /\b(nvidia|amd|intel|google|aws|tesla|geforce|instinct|habana|accelerator|gpu|edition|generation|workstation|we|se|ws|cc)\b/g,
      ' ',
    );
}

function parse(raw: string, hintedVramGiB: number | undefined): ParsedName {
  const spaced = spacedOf(raw);
  const stated = /\b(\d{1,3})\s?g(i?b)?\b/.exec(spaced);
  const vramGiB = stated?.[1] ? Number(stated[1]) : (hintedVramGiB ?? null);
  const form = formOf(spaced);
  return { family: familyOf(compact(bareOf(spaced)), vramGiB), form, vramGiB };
}

/** A name as it is compared: letters and digits without memory, form and makers. */
export const bareKey = (raw: string): string => compact(bareOf(spacedOf(raw)));
export const formIn = (raw: string): AcceleratorForm => formOf(spacedOf(raw));
/** Every spelling that is known, and the family that it means. */
export const spellings = (): Iterable<readonly [string, string]> => families;

/**
 * Canonical name of whatever a price list, a driver or a person wrote; null when unknown.
 * Form and memory come from the text first, then from the hints. A form nobody states counts as the weaker one,
 * so that no offer promises a link that may not be there.
 */
export function normalizeAccelerator(raw: string, hints: NameHints = {}): string | null {
  const parsed = parse(raw, hints.vramGiB);
  if (parsed.family === null) return null;
  const form =
    parsed.form ??
    (hints.form ? formOf(hints.form) : null) ??
    (hints.instance && sxmInstances.test(hints.instance) ? 'SXM' : null);
  let left = accelerators.filter((a) => a.family === parsed.family);
  const ofForm = left.filter((a) => a.form === form);
  if (form !== null && ofForm.length > 0) left = ofForm;
  if (parsed.vramGiB !== null) left = nearestMemory(left, parsed.vramGiB);
  // Without a form H200 means the SXM board: the NVL card is always called so.
  const first = form === null ? (left.find((a) => a.form !== 'NVL') ?? left[0]) : left[0];
  return first?.name ?? null;
}

function nearestMemory(candidates: readonly Accelerator[], vramGiB: number): Accelerator[] {
  const distance = (a: Accelerator): number => Math.abs(a.vramGiB - vramGiB);
  const least = Math.min(...candidates.map(distance));
  return candidates.filter((a) => distance(a) === least);
}

/**
 * Does a canonical accelerator satisfy what a user asked for? What the user leaves out is free: "H100" takes every form,
 * "A100-80GB" both 80 GB boards, "h100-sxm" only that. "A10" never means A10G, nor "L40" L40S.
 */
export function acceleratorMatches(wanted: string, canonical: string): boolean {
  const offered = accelerator(canonical);
  if (!offered) return compact(wanted) === compact(canonical);
  if (compact(wanted) === compact(canonical)) return true;
  const parsed = parse(wanted, undefined);
  if (parsed.family === null) {
    return (byMemory.get(compact(wanted)) ?? []).includes(offered.family);
  }
  if (parsed.family !== offered.family) return false;
  if (parsed.form !== null && offered.form !== null && parsed.form !== offered.form) return false;
  return parsed.vramGiB === null || near(offered.vramGiB, parsed.vramGiB);
}
