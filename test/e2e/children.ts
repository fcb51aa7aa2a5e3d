import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** Everything that was started and not yet seen to end; killed when this process ends, however it does. */
const living = new Set<Child>();
process.once('exit', () => {
  for (const child of living) child.signal('SIGKILL');
});

/** A program of this product as a real process, in a group of its own, with its output kept. */
export class Child {
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  readonly exited: Promise<number | null>;
  private ended = false;

  private constructor(
    readonly name: string,
    private readonly process: ChildProcess,
  ) {
    living.add(this);
    this.exited = new Promise((resolve) => {
      process.once('exit', (code) => {
        this.ended = true;
        living.delete(this);
        resolve(code);
      });
    });
    keepLines(process.stdout, this.stdout);
    keepLines(process.stderr, this.stderr);
  }

  /** Starts `dist/apps/<app>/main.js` with nothing of our environment but the search path. */
  static start(app: string, name: string, args: readonly string[], env: Readonly<Record<string, string>>): Child {
    const child = spawn(process.execPath, [join(root, 'dist', 'apps', app, 'main.js'), ...args], {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', NODE_ENV: 'test', ...env },
    });
    return new Child(name, child);
  }

  get alive(): boolean {
    return !this.ended;
  }

  get pid(): number {
    const { pid } = this.process;
    if (pid === undefined) throw new Error(`${this.name} did not start`);
    return pid;
  }

  /** To the whole group: what it started goes with it. */
  signal(signal: NodeJS.Signals): void {
    if (this.ended) return;
    try {
      process.kill(-this.pid, signal);
    } catch {
      // The group is gone already.
    }
  }

  /** `kill -9`, and waits until it is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** Asks it to stop; after `graceMs` it is killed. Answers the exit code, null when it had to be killed. */
  async stop(graceMs = 10_000): Promise<number | null> {
    // A stopped process takes no SIGTERM.
    this.signal('SIGCONT');
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), graceMs);
    const code = await this.exited;
    clearTimeout(timer);
    return code;
  }

  /** The first JSON line on standard output that has this field. */
  answer(field: string): unknown {
    for (const line of this.stdout) {
      if (!line.startsWith('{')) continue;
      const value = JSON.parse(line) as Record<string, unknown>;
      if (field in value) return value[field];
    }
    return undefined;
  }

  /** What it said last, for the message of a failed test. */
  tail(lines = 15): string {
    return [`--- ${this.name} (${this.ended ? 'ended' : 'running'})`, ...this.stderr.slice(-lines)].join('\n');
  }
}

/** Kills, by number, every process whose command line names `folder`: agents that a killed sandbox left behind. */
export function killThoseNaming(folder: string): void {
  const list = execFileSync('ps', ['-axww', '-o', 'pid=,command='], { encoding: 'utf8', maxBuffer: 64 << 20 });
  for (const line of list.split('\n')) {
    const found = /^\s*(\d+)\s+(.*)$/.exec(line);
    const pid = Number(found?.[1]);
    if (!found || pid === process.pid || !found[2]?.includes(folder) || !found[2].includes('/agent/main.js')) continue;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself meanwhile.
    }
  }
}

function keepLines(stream: NodeJS.ReadableStream | null, into: string[]): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    into.push(...lines);
  });
  stream?.on('end', () => {
    if (rest !== '') into.push(rest);
  });
}
