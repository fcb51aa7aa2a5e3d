import { execFile } from 'node:child_process';
import { cpus, freemem, hostname, release, totalmem, type, arch } from 'node:os';
import { statfs } from 'node:fs/promises';
import type { HostFacts } from '#contracts';
import { cleanEnvironment } from '../clean-environment.js';
import { AGENT_VERSION } from '../version.js';
import type { GpuLoad, Telemetry } from './gpu-load.js';
import * as nvidia from './nvidia-smi.js';
import * as rocm from './rocm-smi.js';

/** Runs a driver tool; its output, or null where the tool is missing or fails. */
export type Tool = (program: string, args: readonly string[]) => Promise<string | null>;

const GIB = 2 ** 30;
/** A driver that hangs must not hang the agent. */
const TOOL_TIMEOUT_MS = 10_000;

/** What this machine is and does, measured here. */
export class Machine {
  private lastCpu = cpuTimes();
  /** What the driver last told of MIG: one that hangs for once must not make whole GPUs of those that are cut. */
  private mig: {
    readonly on: ReadonlySet<number>;
    readonly instances: ReturnType<typeof nvidia.parseNvidiaInstances>;
  } = {
    on: new Set(),
    instances: new Map(),
  };

  constructor(
    private readonly options: {
      readonly stateDir: string;
      readonly name: string | undefined;
      readonly engines: readonly string[];
    },
    private readonly tool: Tool = runTool,
  ) {}

  async facts(): Promise<HostFacts> {
    const processors = cpus();
    const disk = await statfs(this.options.stateDir);
    const { gpus, gpuLink, linkDomains } = await this.accelerators();
    return {
      hostname: (this.options.name ?? hostname()).slice(0, 255),
      os: `${type()} ${release()}`.slice(0, 100),
      arch: arch(),
      vcpus: Math.max(1, processors.length),
      cpuModel: (processors[0]?.model ?? 'unknown').trim().slice(0, 200),
      ramGiB: totalmem() / GIB,
      diskFreeGiB: (disk.bavail * disk.bsize) / GIB,
      gpus: gpus.slice(0, 64),
      gpuLink,
      ...(linkDomains === undefined ? {} : { linkDomains }),
      agentVersion: AGENT_VERSION,
      engines: [...this.options.engines],
    };
  }

  /** Load since the last call. */
  async telemetry(): Promise<Telemetry> {
    const now = cpuTimes();
    const total = now.total - this.lastCpu.total;
    const cpuBusy = total <= 0 ? 0 : Math.min(1, Math.max(0, (now.busy - this.lastCpu.busy) / total));
    this.lastCpu = now;
    return { cpuBusy, ramUsedGiB: (totalmem() - freemem()) / GIB, gpus: (await this.load()).slice(0, 64) };
  }

  async gpuCount(): Promise<number> {
    return (await this.accelerators()).gpus.length;
  }

  private async accelerators(): Promise<Pick<HostFacts, 'gpus' | 'gpuLink' | 'linkDomains'>> {
    const green = nvidia.parseNvidiaFacts((await this.tool('nvidia-smi', nvidia.NVIDIA_FACTS)) ?? '');
    if (green.length > 0) {
      const { on, instances } = await this.migNow();
      const topology = green.length > 1 ? ((await this.tool('nvidia-smi', nvidia.NVIDIA_TOPOLOGY)) ?? '') : '';
      return {
        gpus: green.map((gpu) => (on.has(gpu.index) ? { ...gpu, mig: instances.get(gpu.index) ?? [] } : gpu)),
        gpuLink: nvidia.parseNvidiaTopology(topology, green.length),
        linkDomains: byIndex(nvidia.parseNvidiaDomains(topology, green.length), green),
      };
    }
    const red = rocm.parseRocmFacts((await this.tool('rocm-smi', rocm.ROCM_FACTS)) ?? '');
    const topology = red.length > 1 ? ((await this.tool('rocm-smi', rocm.ROCM_TOPOLOGY)) ?? '') : '';
    return {
      gpus: red,
      gpuLink: rocm.parseRocmTopology(topology, red.length),
      linkDomains: byIndex(rocm.parseRocmDomains(topology, red.length), red),
    };
  }

  /** Which GPUs are cut, and into what. Where the driver does not answer, it is as it was and as the list of devices shows. */
  private async migNow(): Promise<typeof this.mig> {
    const mode = await this.tool('nvidia-smi', nvidia.NVIDIA_MIG_MODE);
    const told = mode === null ? this.mig.on : nvidia.parseNvidiaMigMode(mode);
    const list = mode === null || told.size > 0 ? await this.tool('nvidia-smi', nvidia.NVIDIA_LIST) : '';
    const instances = list === null ? this.mig.instances : nvidia.parseNvidiaInstances(list);
    const shown = [...instances].flatMap(([index, found]) => (found.length > 0 ? [index] : []));
    this.mig = { on: mode === null ? new Set([...told, ...shown]) : told, instances };
    return this.mig;
  }

  private async load(): Promise<GpuLoad[]> {
    const green = await this.tool('nvidia-smi', nvidia.NVIDIA_LOAD);
    if (green !== null) return nvidia.parseNvidiaLoad(green);
    return rocm.parseRocmLoad((await this.tool('rocm-smi', rocm.ROCM_LOAD)) ?? '');
  }
}

/** Places in the matrix as indices of the driver: the matrix lists the cards in their order. */
function byIndex(domains: number[][] | undefined, gpus: HostFacts['gpus']): number[][] | undefined {
  const indices = gpus.map((gpu) => gpu.index).toSorted((a, b) => a - b);
  return domains?.map((domain) => domain.flatMap((place) => indices[place] ?? []));
}

function cpuTimes(): { busy: number; total: number } {
  let busy = 0;
  let total = 0;
  for (const { times } of cpus()) {
    const all = times.user + times.nice + times.sys + times.idle + times.irq;
    total += all;
    busy += all - times.idle;
  }
  return { busy, total };
}

const runTool: Tool = (program, args) =>
  new Promise((resolve) => {
    const options = { timeout: TOOL_TIMEOUT_MS, maxBuffer: 4 * 2 ** 20, env: cleanEnvironment(process.env) };
    execFile(program, [...args], options, (error, stdout) => resolve(error ? null : stdout));
  });
