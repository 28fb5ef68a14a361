import { showRegistry } from '../docker-config/shown-registry.ts';

/** Something that an operator should know although nothing failed. */
export type Warning = {
  /** What it is about; the same as long as it is the same matter, for it is logged once. */
  readonly about: string;
  /** The sentence as of now, with what to do. */
  readonly text: string;
};

/** The first few of a list of registry keys, each in quotes, and how many more there are. */
export function nameSome(names: readonly string[]): string {
  const some = names.slice(0, 5).map(showRegistry);
  return names.length > some.length
    ? `${some.join(', ')} and ${names.length - some.length} more`
    : some.join(', ');
}
