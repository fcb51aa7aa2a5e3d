import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Offer } from '#contracts';
import { decodeAzureSize, importGcp, readSnapshot, snapshotText, type ImportResult } from './index.js';
import { rows } from './csv.js';

let snapshot: ImportResult = { offers: [], skipped: [] };
const find = (id: string): Offer => {
  const offer = snapshot.offers.find((o) => o.id === id);
  if (!offer) throw new Error(`no offer ${id}`);
  return offer;
};
const aws = (sku: string): Offer => find(`aws-ec2:aws/${sku}/us-east-1/on-demand`);
const azure = (sku: string): Offer => find(`azure-vm:azure/Standard_${sku}/eastus/on-demand`);

beforeAll(async () => {
  snapshot = await readSnapshot();
});

describe('AWS', () => {
  it('makes an offer of every priced type', () => {
    expect(snapshot.offers.filter((o) => o.source === 'aws-ec2')).toHaveLength(93);
  });

  it.each([
    ['p5.48xlarge', 'H100-SXM', 8, 80, 'nvswitch', 900, 'efa', 3200],
    ['p4d.24xlarge', 'A100-40GB-SXM', 8, 40, 'nvswitch', 600, 'efa', 400],
    ['p4de.24xlarge', 'A100-80GB-SXM', 8, 80, 'nvswitch', 600, 'efa', 400],
    ['p5en.48xlarge', 'H200', 8, 141, 'nvswitch', 900, 'efa', 3200],
    ['p6-b200.48xlarge', 'B200', 8, 192, 'nvswitch', 1800, 'efa', 3200],
    ['g5.12xlarge', 'A10G', 4, 24, 'pcie4', 64, 'efa', 40],
    ['g4dn.xlarge', 'T4', 1, 16, 'none', null, 'ethernet', 5],
    ['p3.16xlarge', 'V100-16GB', 8, 16, 'nvlink', 300, 'ethernet', 25],
    ['trn1.32xlarge', 'Trainium1', 16, 32, 'neuronlink', 768, 'efa', 800],
    ['inf2.48xlarge', 'Inferentia2', 12, 32, 'neuronlink', 192, 'ethernet', 100],
    ['dl1.24xlarge', 'Gaudi1', 8, 32, 'roce-on-chip', 175, 'efa', 400],
    ['g7e.48xlarge', 'RTX-PRO-6000', 8, 96, 'pcie5', 128, 'efa', 1600],
  ])(
    '%s is %s x %d with %d GiB each',
    (sku, accelerator, count, vramGiB, intraNode, intraNodeGBps, interNode, interNodeGbps) => {
      expect(aws(sku)).toMatchObject({
        accelerator,
        count,
        vramGiB,
        interconnect: { intraNode, intraNodeGBps, interNode, interNodeGbps },
        country: 'US',
        status: 'listed',
        doubts: [],
      });
    },
  );

  it('takes the price as decimal text, without a float', () => {
    expect(aws('p5.48xlarge').pricePerHour).toBe(55_040_000_000n);
    expect(aws('g4ad.xlarge').pricePerHour).toBe(378_530_000n);
  });

  it('reads slices (listed with count 0) from their memory', () => {
    expect([aws('g6f.large').count, aws('g6f.2xlarge').count, aws('gr6f.4xlarge').count]).toEqual([0.125, 0.25, 0.5]);
    expect(aws('g6f.large')).toMatchObject({ accelerator: 'L4', vramGiB: 3, vcpus: 2, ramGiB: 8 });
  });
});

describe('Azure', () => {
  it.each([
    ['NC24ads_A100_v4', 'A100-80GB-PCIe', 1, 24, 'none', 'ethernet', null],
    ['ND96asr_v4', 'A100-40GB-SXM', 8, 96, 'nvswitch', 'infiniband', 1600],
    ['ND96amsr_A100_v4', 'A100-80GB-SXM', 8, 96, 'nvswitch', 'infiniband', 1600],
    ['ND96ams_A100_v4', 'A100-80GB-SXM', 8, 96, 'nvswitch', 'ethernet', null],
    ['ND96isr_H100_v5', 'H100-SXM', 8, 96, 'nvswitch', 'infiniband', 3200],
    ['ND96is_noIB_H100_v5', 'H100-SXM', 8, 96, 'nvswitch', 'ethernet', null],
    ['ND96isr_MI300X_v5', 'MI300X', 8, 96, 'xgmi', 'infiniband', 3200],
    ['NC80adis_H100_v5', 'H100-NVL', 2, 80, 'nvlink', 'ethernet', null],
    ['NC64as_T4_v3', 'T4', 4, 64, 'pcie3', 'ethernet', null],
    ['NC12s_v3', 'V100-16GB', 2, 12, 'pcie3', 'ethernet', null],
    ['ND40rs_v2', 'V100-32GB', 8, 40, 'nvlink', 'infiniband', 100],
    ['NV36ads_A10_v5', 'A10', 1, 36, 'none', 'ethernet', null],
  ])('%s is %s x %d with %d vCPUs', (size, accelerator, count, vcpus, intraNode, interNode, interNodeGbps) => {
    const offer = snapshot.offers.find((o) => o.source === 'azure-vm' && o.sku === `Standard_${size}`);
    expect(offer).toMatchObject({ accelerator, count, vcpus, interconnect: { intraNode, interNode, interNodeGbps } });
  });

  it('reads slices and gives them their share of memory', () => {
    expect(azure('NV12ads_A10_v5').count).toBeCloseTo(1 / 3, 9);
    expect(azure('NV6ads_A10_v5')).toMatchObject({ accelerator: 'A10', vramGiB: 4 });
    expect(decodeAzureSize('Standard_NC64lds_xl_RTXPRO6000BSE_v6')).toMatchObject({
      accelerator: 'RTX-PRO-6000',
      count: 0.5,
    });
  });

  it('skips with a reason what the name does not tell, and loses no line', async () => {
    expect(decodeAzureSize('Standard_NP10s')).toContain('FPGA');
    expect(decodeAzureSize('Standard_NC8lds_xl_RTXPRO6000BSE_v6')).toContain('does not tell');
    expect(decodeAzureSize('Standard_D4s_v5')).toContain('not a GPU');
    expect(decodeAzureSize('Standard_NX9_v9')).toContain('no known GPU series');
    const lines = rows(await snapshotText('azure_ondemand_gpu.csv.gz')).length;
    const offers = snapshot.offers.filter((o) => o.source === 'azure-vm').length;
    expect(offers + snapshot.skipped.filter((s) => s.source === 'azure-vm').length).toBe(lines);
    expect(offers).toBeGreaterThan(lines * 0.95);
  });
});

describe('Google Cloud', () => {
  const gcp = (sku: string, region: string, pricing: string): Offer =>
    find(`gcp-compute:gcp/${sku}/${region}/${pricing}`);

  it('turns commitments into hourly prices: month / 730', () => {
    expect(gcp('a2-highgpu-1g', 'asia-east1', 'reserved-1y').pricePerHour).toBe(2_387_757_640n);
    const od = gcp('a2-highgpu-1g', 'asia-east1', 'on-demand').pricePerHour;
    expect(od).toBe(3_790_142_000n);
    expect(gcp('a2-highgpu-1g', 'asia-east1', 'reserved-3y').pricePerHour).toBeLessThan(
      gcp('a2-highgpu-1g', 'asia-east1', 'reserved-1y').pricePerHour,
    );
  });

  it('doubts every spot price of a region without the GPU, and none where it exists at a plausible price (row D12)', async () => {
    const list = rows(await snapshotText('gcp_gpu_2026-07-30.csv.gz'));
    for (const { cell } of list) {
      const spot = gcp(cell('instance'), cell('region'), 'spot');
      const ratio = Number(cell('hour_spot')) / Number(cell('hour'));
      if (cell('zones_with_accelerator') === '0') expect(spot.doubts.join()).toContain('no zone');
      else if (ratio <= 0.22) expect(spot.doubts.join()).toContain('of on-demand');
      else if (ratio > 0.23) expect([spot.id, spot.doubts]).toEqual([spot.id, []]);
    }
    expect(gcp('a2-highgpu-1g', 'asia-northeast2', 'spot').doubts).toHaveLength(1);
    expect(gcp('a2-highgpu-1g', 'asia-northeast1', 'spot').doubts).toEqual([]);
  });

  it('has no undoubted spot price at 9-22 % of on-demand', () => {
    const firm = new Map(
      snapshot.offers.filter((o) => o.pricing === 'on-demand').map((o) => [`${o.sku} ${o.region}`, o.pricePerHour]),
    );
    const phantoms = snapshot.offers.filter((o) => {
      const od = firm.get(`${o.sku} ${o.region}`);
      return (
        o.source === 'gcp-compute' &&
        o.pricing === 'spot' &&
        o.doubts.length === 0 &&
        od !== undefined &&
        o.pricePerHour * 100n <= od * 22n
      );
    });
    expect(phantoms).toEqual([]);
  });

  it('keeps g4 slices as fractions with their share of memory', () => {
    expect(gcp('g4-standard-6', 'us-central1', 'on-demand')).toMatchObject({
      accelerator: 'RTX-PRO-6000',
      count: 0.125,
      vramGiB: 12,
    });
    expect(gcp('g4-standard-48', 'us-central1', 'on-demand')).toMatchObject({ count: 1, vramGiB: 96 });
  });

  it('reads a3 as H100 SXM and a2 as A100 SXM by the machine type', () => {
    expect(gcp('a3-highgpu-8g', 'us-central1', 'on-demand')).toMatchObject({
      accelerator: 'H100-SXM',
      interconnect: { intraNode: 'nvswitch', interNodeGbps: 1000 },
    });
    expect(gcp('a2-ultragpu-8g', 'us-central1', 'on-demand')).toMatchObject({
      accelerator: 'A100-80GB-SXM',
      vramGiB: 80,
    });
  });

  it('skips an unknown GPU and a row without any price, and doubts spot above on-demand', () => {
    const head =
      'instance,gpu,gpu_count,cpu,ram,region,hour,hour_spot,month,month_1y,month_3y,month_spot,zones_with_accelerator\n';
    const csv = `${head}x1,voodoo,1,4,16,us-east1,1,0.5,0,0,0,0,1\nx2,l4,1,4,16,us-east1,,,0,0,0,0,1\ng2-standard-4,l4,1,4,16,us-east1,0.7,0.9,0,0,0,0,1\n`;
    const { offers, skipped } = importGcp(csv, 'NAME;ZONE\nnvidia-l4;us-east1-b\n', 0);
    expect(skipped.map((s) => [s.line, s.reason])).toEqual([
      [2, 'x1: GPU "voodoo" is unknown'],
      [3, 'x2: no price'],
    ]);
    expect(offers.map((o) => [o.pricing, o.doubts.length])).toEqual([
      ['on-demand', 0],
      ['spot', 1],
    ]);
  });
});
