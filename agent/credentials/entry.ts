import type { SecretText } from '../base/secret-text.ts';

/** One registry's credential as a source gives it, in the form in which it is written. */
export type Entry = {
  /** The key of the docker config, as written in the source: `registry.example.com/team`. */
  readonly registry: string;
  /** The name of the source that it comes from. */
  readonly source: string;
  /** `user:password` in padded standard base64, the one form that every reader of docker configs accepts. */
  readonly auth: SecretText;
};

/** A user name with its password, as a runtime wants them. */
export type Credential = { readonly username: string; readonly password: SecretText };

/** The JSON value of an entry in a docker config. */
export function entryValue(entry: Entry): { readonly auth: string } {
  return { auth: entry.auth.reveal() };
}
