import { SecretText } from '../base/secret-text.ts';

/** A user name with its password, as a runtime wants them. */
export type Credential = { readonly username: string; readonly password: SecretText };

/** A token that is exchanged at the registry for others. */
export type IdentityToken = { readonly identityToken: SecretText };

/** What an entry says that names a registry and nothing else; the kubelet tries that too. */
export const noCredential: Credential = { username: '', password: new SecretText('') };
