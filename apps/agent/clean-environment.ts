const KEPT = ['PATH', 'HOME', 'LANG', 'TMPDIR'];

/** What a child process may inherit. Everything else stays behind: the agent's own environment may hold secrets. */
export function cleanEnvironment(own: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of KEPT) {
    const value = own[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}
