import type { ConfigState } from '../config-file.ts';
import type { CredentialState } from '../credentials/credential-flow.ts';
import type { ImagesState } from '../images/images-state.ts';

/** What the agent knows of its node; a part is undefined until it was looked at for the first time. */
export type Board = {
  readonly version: string;
  readonly node: string;
  readonly config: ConfigState | undefined;
  readonly credentials: CredentialState | undefined;
  readonly images: ImagesState;
};
