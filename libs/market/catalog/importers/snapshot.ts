import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { dataFile } from '#hardware';
import { importAws } from './aws.js';
import { importAzure } from './azure.js';
import { importFsdlCloud, importFsdlServerless } from './fsdl.js';
import { importGcp } from './gcp.js';
import { importGpuPricing } from './gpu-pricing.js';
import type { ImportResult } from './offer-list.js';

/** When each file was true; see `snapshot/README.md`. */
const observedAt = {
  aws: Date.parse('2026-07-20T13:44:30Z'),
  azure: Date.parse('2026-06-18T03:43:41Z'),
  gcp: Date.parse('2026-07-30T00:00:00Z'),
  fsdl: Date.parse('2025-04-01T00:00:00Z'),
};

/** Text of a snapshot file; `.gz` is unpacked. */
export async function snapshotText(name: string): Promise<string> {
  const bytes = await readFile(dataFile(`libs/market/catalog/snapshot/${name}`));
  return (name.endsWith('.gz') ? await promisify(gunzip)(bytes) : bytes).toString('utf8');
}

/** All offers of the shipped price lists and every line that became none. Reads about 130 kB. */
export async function readSnapshot(): Promise<ImportResult> {
  const parts = [
    importAws(
      await snapshotText('aws_gpu_instance_types.csv'),
      await snapshotText('aws_ondemand_gpu_us-east-1.csv'),
      observedAt.aws,
    ),
    importAzure(await snapshotText('azure_ondemand_gpu.csv.gz'), observedAt.azure),
    importGcp(
      await snapshotText('gcp_gpu_2026-07-30.csv.gz'),
      await snapshotText('gcp_accelerator_zones.csv'),
      observedAt.gcp,
    ),
    importGpuPricing(
      await snapshotText('tardellirs_offerings.json.gz'),
      await snapshotText('tardellirs_providers.json'),
    ),
    importFsdlCloud(await snapshotText('fsdl_cloud_gpus.csv'), observedAt.fsdl),
    importFsdlServerless(await snapshotText('fsdl_serverless_gpus.csv'), observedAt.fsdl),
  ];
  return { offers: parts.flatMap((p) => p.offers), skipped: parts.flatMap((p) => p.skipped) };
}
