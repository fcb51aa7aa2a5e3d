import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SeededRandom } from '#kernel';
import {
  checksumOk,
  constantTimeEqual,
  deriveKey,
  hashToken,
  keyEncryptionKey,
  kindOfToken,
  newSecretToken,
  SealBroken,
  TOKEN_KINDS,
  TOKEN_PATTERN,
  tokenPrefix,
  UnknownSealKey,
  Vault,
  type SecretPlace,
} from './index.js';

const now = keyEncryptionKey('the secret of this installation, long enough');
const before = keyEncryptionKey('the secret that was in use until yesterday!!');
const place: SecretPlace = { table: 'providers', row: 'prv_1', column: 'credentials', organizationId: 'org_1' };

const places = fc.record({ table: fc.string(), row: fc.string(), column: fc.string(), organizationId: fc.string() });

describe('Vault', () => {
  it('opens what it sealed, and shows nothing of it', () => {
    const vault = new Vault([now]);
    fc.assert(
      fc.property(places, fc.string({ unit: 'binary', minLength: 4 }), (at, text) => {
        const sealed = vault.seal(at, text);
        expect(vault.open(at, sealed)).toBe(text);
        expect(sealed).not.toContain(text);
        expect(sealed).not.toContain(Buffer.from(text).toString('base64url'));
      }),
    );
  });

  it('gives a new text every time', () => {
    const vault = new Vault([now]);
    expect(vault.seal(place, 'same')).not.toBe(vault.seal(place, 'same'));
  });

  it('does not open in any other place', () => {
    const vault = new Vault([now]);
    fc.assert(
      fc.property(places, places, (here, there) => {
        fc.pre(JSON.stringify(here) !== JSON.stringify(there));
        const sealed = vault.seal(here, 'vendor key');
        expect(() => vault.open(there, sealed)).toThrow(SealBroken);
      }),
    );
  });

  it.each(['table', 'row', 'column', 'organizationId'] as const)('does not open when only the %s differs', (part) => {
    const vault = new Vault([now]);
    const sealed = vault.seal(place, 'vendor key');
    expect(() => vault.open({ ...place, [part]: 'other' }, sealed)).toThrow(SealBroken);
  });

  it('keeps the borders between the parts of a place', () => {
    const vault = new Vault([now]);
    const sealed = vault.seal({ ...place, table: 'ab', row: 'c' }, 'x');
    expect(() => vault.open({ ...place, table: 'a', row: 'bc' }, sealed)).toThrow(SealBroken);
  });

  it('does not open when swapped between two rows', () => {
    const vault = new Vault([now]);
    const other = { ...place, row: 'prv_2' };
    const [mine, theirs] = [vault.seal(place, 'mine'), vault.seal(other, 'theirs')];
    expect(() => vault.open(place, theirs)).toThrow(SealBroken);
    expect(() => vault.open(other, mine)).toThrow(SealBroken);
  });

  it('notices any changed character', () => {
    const vault = new Vault([now]);
    const sealed = vault.seal(place, 'vendor key');
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.constantFrom(...alphabet), (i, character) => {
        const changed = sealed.slice(0, i) + character + sealed.slice(i + 1);
        // The last character of a base64 group has bits that carry nothing; those do not change the bytes.
        const bytes = (text: string): string =>
          text
            .split('.')
            .map((part) => Buffer.from(part, 'base64url').toString('hex'))
            .join('.');
        fc.pre(bytes(changed) !== bytes(sealed) || changed.split('.')[1] !== sealed.split('.')[1]);
        expect(() => vault.open(place, changed)).toThrow(/does not open|none of the given/);
      }),
    );
  });

  it.each(['', 'plaintext', 's1.0123456789abcdef', 's1.0123456789abcdef.AAAA.AAAA', 's2.a.b.c'])(
    'refuses %j',
    (text) => {
      expect(() => new Vault([{ ...now, id: '0123456789abcdef' }]).open(place, text)).toThrow(SealBroken);
    },
  );

  it('says which key is missing', () => {
    const sealed = new Vault([before]).seal(place, 'x');
    expect(() => new Vault([now]).open(place, sealed)).toThrow(UnknownSealKey);
    expect(() => new Vault([now]).open(place, sealed)).toThrow(before.id);
    expect(() => new Vault([now]).rewrap(place, sealed)).toThrow(UnknownSealKey);
  });

  it('moves to a new key without a moment in which something cannot be read', () => {
    const old = new Vault([before]);
    const both = new Vault([now, before]);
    const sealed = old.seal(place, 'vendor key');
    expect(both.open(place, sealed)).toBe('vendor key');
    const moved = both.rewrap(place, sealed);
    expect(moved).not.toBeNull();
    if (moved === null) return;
    expect(both.open(place, moved)).toBe('vendor key');
    expect(both.rewrap(place, moved)).toBeNull();
    expect(new Vault([now]).open(place, moved)).toBe('vendor key');
    expect(() => old.open(place, moved)).toThrow(UnknownSealKey);
    expect(moved.split('.')[3]).toBe(sealed.split('.')[3]);
  });

  it('does not wrap a data key of one organization for another', () => {
    const both = new Vault([now, before]);
    const sealed = new Vault([before]).seal(place, 'x');
    expect(() => both.rewrap({ ...place, organizationId: 'org_2' }, sealed)).toThrow(SealBroken);
  });

  it('never uses one data key for two organizations', () => {
    const vault = new Vault([now]);
    const wrapped = ['org_1', 'org_2', 'org_1'].map(
      (organizationId) => vault.seal({ ...place, organizationId }, 'x').split('.')[2],
    );
    expect(wrapped[0]).not.toBe(wrapped[1]);
    expect(wrapped[0]).toBe(wrapped[2]);
  });
});

describe('keys from the secret', () => {
  it('differ by purpose and by secret, and are the same every time', () => {
    const hex = (secret: string, purpose: string): string => deriveKey(secret, purpose).toString('hex');
    expect(hex('a', 'x')).toBe(hex('a', 'x'));
    expect(new Set([hex('a', 'x'), hex('a', 'y'), hex('b', 'x')]).size).toBe(3);
    expect(now.id).not.toBe(before.id);
    expect(Buffer.from(now.key).toString('hex')).not.toContain(now.id);
  });
});

describe('tokens', () => {
  it('have the published form, carry their kind and pass the checksum', () => {
    fc.assert(
      fc.property(fc.constantFrom(...TOKEN_KINDS), fc.integer(), (kind, seed) => {
        const token = newSecretToken(kind, new SeededRandom(seed));
        expect(token).toMatch(new RegExp(`^berth_${kind}_[0-9A-Za-z]{36}$`));
        expect(token).toMatch(TOKEN_PATTERN);
        expect(kindOfToken(token)).toBe(kind);
        expect(checksumOk(token)).toBe(true);
      }),
    );
  });

  it('refuse every typing error of one character or two swapped ones', () => {
    const token = newSecretToken('project', new SeededRandom(7));
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom(...'0123456789ABCXYZabcxyz_'), (i, character) => {
        fc.pre(token[i] !== character);
        expect(checksumOk(token.slice(0, i) + character + token.slice(i + 1))).toBe(false);
      }),
    );
    for (let i = 0; i + 1 < token.length; i++) {
      const swapped = token.slice(0, i) + (token[i + 1] ?? '') + (token[i] ?? '') + token.slice(i + 2);
      expect(checksumOk(swapped)).toBe(swapped === token);
    }
  });

  it.each([
    '',
    'berth_project_',
    ` ${newSecretToken('admin')}`,
    `${newSecretToken('admin')}\n`,
    newSecretToken('host').slice(0, -1),
  ])('refuse %j', (text) => expect(checksumOk(text)).toBe(false));

  it('use every character about equally often', () => {
    const random = new SeededRandom(3);
    const counts = new Map<string, number>();
    for (let i = 0; i < 2_000; i++) {
      for (const c of newSecretToken('enrol', random).slice('berth_enrol_'.length, -6))
        counts.set(c, (counts.get(c) ?? 0) + 1);
    }
    const expected = (2_000 * 30) / 62;
    expect(counts.size).toBe(62);
    // Chi-square with 61 degrees of freedom: 110 is beyond the 99.99 % quantile. A plain modulo gives more than 400 here.
    const chiSquare = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    expect(chiSquare).toBeLessThan(110);
  });

  it('are stored as a hash that needs the pepper', () => {
    const token = newSecretToken('project');
    const pepper = deriveKey('secret', 'token-pepper');
    expect(hashToken(token, pepper)).toMatch(/^[0-9a-f]{64}$/);
    expect(hashToken(token, pepper)).toBe(hashToken(token, pepper));
    expect(hashToken(token, pepper)).not.toBe(hashToken(token, deriveKey('other', 'token-pepper')));
  });

  it('show only their beginning', () => {
    const token = newSecretToken('project');
    expect(tokenPrefix(token)).toBe(token.slice(0, 'berth_project_'.length + 6));
    expect(() => tokenPrefix('password')).toThrow(RangeError);
  });
});

describe('constantTimeEqual', () => {
  it('agrees with ===', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => constantTimeEqual(a, b) === (a === b) && constantTimeEqual(a, a)),
    );
  });
});
