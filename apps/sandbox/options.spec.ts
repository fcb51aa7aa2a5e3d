import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '#kernel';
import { machineEnvironment, parseFlags } from './options.js';
import { ScaledClock } from './scaled-clock.js';

describe('the flags of the sandbox', () => {
  it('have defaults and are read as numbers, switches, commands and JSON', () => {
    expect(parseFlags([])).toMatchObject({ port: 0, host: '127.0.0.1', timeScale: 1, agents: 'none', faults: [] });
    const flags =
      '--port 4100 --boot-ms 50 --time-scale 0.5 --stock 3 --preemptions-per-hour 0 --client-tokens --agents process';
    expect(
      parseFlags([
        ...flags.split(' '),
        '--agent-command',
        'node  a.js',
        '--faults',
        '[{"point":"get","kind":"get-stale"}]',
      ]),
    ).toMatchObject({
      port: 4_100,
      bootMs: 50,
      timeScale: 0.5,
      stock: 3,
      preemptionsPerHour: 0,
      clientTokens: true,
      agents: 'process',
      agentCommand: ['node', 'a.js'],
      faults: [{ point: 'get', kind: 'get-stale' }],
    });
  });

  it.each([
    [['--port', 'x'], '--port: '],
    [['--boot-ms', '-1'], '--boot-ms'],
    [['--boot-ms=1.5'], '--boot-ms: '],
    [['--agents', 'docker'], '--agents: '],
    [['--faults', '{'], '--faults: must be a JSON list'],
    [['--faults', '[{"point":"get","kind":"no-capacity"}]'], '--faults.0.kind: no-capacity cannot happen at get'],
    [['--prot', '1'], '--prot'],
  ])('are refused with the flag named: %j', (argv, message) => {
    expect(() => parseFlags(argv)).toThrow(message);
  });

  it('let a machine see nothing of the environment but how to find programs', () => {
    expect(machineEnvironment({ PATH: '/bin', LANG: 'C', STRIPE_KEY: 'x', HOME: '/root' })).toEqual({
      PATH: '/bin',
      LANG: 'C',
    });
  });
});

describe('the clock of the vendor', () => {
  it('runs at its scale, stands still at 0, jumps, and never goes back', () => {
    const base = new ManualClock(1_000);
    const clock = new ScaledClock(base, 10);
    base.advance(5);
    expect(clock.now()).toBe(1_050);
    clock.setScale(0);
    base.advance(1_000);
    expect(clock.now()).toBe(1_050);
    expect(clock.realMsUntil(1_100)).toBeNull();
    clock.advance(50);
    expect([clock.now(), clock.realMsUntil(1_100)]).toEqual([1_100, 0]);
    clock.setScale(2);
    expect(clock.realMsUntil(1_200)).toBe(50);
    base.set(0);
    expect(clock.now()).toBe(1_100);
    expect(() => clock.advance(-1)).toThrow(RangeError);
  });
});
