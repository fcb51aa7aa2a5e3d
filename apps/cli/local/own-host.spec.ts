import { describe, expect, it } from '@jest/globals';
import { chooseHost, type KnownHost } from './own-host.js';

const host = (id: string, name: string, state: KnownHost['state'] = 'ready'): KnownHost => ({ id, name, state });

describe('which registered host this machine is', () => {
  it('is a new one on a new broker', () => {
    expect(chooseHost([], undefined)).toEqual({ newName: 'this-machine' });
  });

  it('is the one it was last, whatever it is called and also when it was lost meanwhile', () => {
    const mine = host('host_b', 'renamed', 'lost');
    expect(chooseHost([host('host_a', 'this-machine'), mine], 'host_b')).toEqual({ host: mine });
  });

  it('is found by name when its id was not written down before a kill', () => {
    const mine = host('host_a', 'this-machine', 'enrolling');
    expect(chooseHost([host('host_z', 'rack-7'), mine], undefined)).toEqual({ host: mine });
  });

  it('is not a host that was taken out: that name stays taken, and the next free one is used', () => {
    const hosts = [host('host_a', 'this-machine', 'cordoned'), host('host_b', 'this-machine-2', 'cordoned')];
    expect(chooseHost(hosts, 'host_a')).toEqual({ newName: 'this-machine-3' });
    const third = host('host_c', 'this-machine-3');
    expect(chooseHost([...hosts, third], 'host_a')).toEqual({ host: third });
  });

  it('is never the host of somebody else', () => {
    expect(chooseHost([host('host_z', 'this-machine-of-mine')], 'host_gone')).toEqual({ newName: 'this-machine' });
  });
});
