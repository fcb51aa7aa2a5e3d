import { describe, expect, it } from '@jest/globals';
import { Vendors, type VendorBinding } from './vendors.js';

// Only which binding comes back matters here; nobody calls its port.
const binding = { acceptance: 'facts', residentAgent: true } as VendorBinding;

describe('Vendors', () => {
  it('looks for a provider that was connected after the last look, and only then', async () => {
    const vendors = new Vendors();
    let looks = 0;
    vendors.onMissing(async () => {
      looks++;
      vendors.bind('new', binding);
    });
    expect(await vendors.find('new')).toBe(binding);
    expect(await vendors.find('new')).toBe(binding);
    expect(looks).toBe(1);
  });

  it('says which provider nobody reaches', async () => {
    await expect(new Vendors().find('gone')).rejects.toThrow('provider gone is not bound');
  });
});
