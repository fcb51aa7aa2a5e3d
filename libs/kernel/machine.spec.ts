import { describe, expect, it } from '@jest/globals';
import { StateMachine } from './machine.js';

type Door = 'open' | 'closed' | 'walled';
const door = new StateMachine<Door>('door', 'closed', { open: ['closed'], closed: ['open', 'walled'], walled: [] });

describe('a state table', () => {
  it('allows the steps in it and no others', () => {
    expect(door.can('closed', 'open')).toBe(true);
    expect(door.can('open', 'walled')).toBe(false);
    expect(door.can('open', 'open')).toBe(false);
    expect(() => door.assert('closed', 'walled')).not.toThrow();
    expect(() => door.assert('walled', 'open')).toThrow('door: walled -> open is not in the state table');
  });

  it('knows its states and which of them are the end', () => {
    expect(door.states).toEqual(['open', 'closed', 'walled']);
    expect(door.states.filter((s) => door.isTerminal(s))).toEqual(['walled']);
  });

  it('is refused when a state cannot be reached', () => {
    expect(() => new StateMachine<Door>('door', 'closed', { open: [], closed: ['open'], walled: ['closed'] })).toThrow(
      'door: never reached: walled',
    );
  });

  it('is refused when a step leads nowhere', () => {
    const table = { open: ['closed'], closed: ['ajar'] } as unknown as Record<'open' | 'closed', ('open' | 'closed')[]>;
    expect(() => new StateMachine('door', 'open', table)).toThrow('door: closed leads to unknown state ajar');
  });
});
