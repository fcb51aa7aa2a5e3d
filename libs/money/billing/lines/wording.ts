import { isId } from '#kernel';

/** What a line was for, for people: the machine, or the language model and how it was used. */
export function describeLine(line: { readonly resource: string; readonly model: string | null }): string {
  const { resource, model } = line;
  // Of a lease the model is the accelerator, which its resource begins with.
  if (model === null || resource.startsWith(model)) return resource;
  return `${model}, ${resource.replaceAll('-', ' ')}`;
}

/** Where a line belongs: the project's name; what an organization owes as a whole (committed use) is of all its projects. */
export function projectOfLine(projectId: string, names: ReadonlyMap<string, string>): string {
  return names.get(projectId) ?? (isId('organization', projectId) ? 'all projects' : projectId);
}
