import { type Entry, makeEntry } from '../../agent/credentials/entry.ts';
import { encodeBasicAuth } from '../../agent/docker-config/basic-auth.ts';

/** An entry with a user name and password, as a Secret gives it. */
export function basicEntry(registry: string, password = 'ours', source = 'team-a'): Entry {
  return makeEntry({ registry, source, auth: encodeBasicAuth('user', password) });
}

/** What an entry says, in the open. */
export function revealed({ registry, auth, identityToken }: Entry): string {
  const login = auth ? Buffer.from(auth.reveal(), 'base64').toString() : '';
  return [registry, login, identityToken?.reveal()].filter(Boolean).join(' ');
}
