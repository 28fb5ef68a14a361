import type { ConfigState } from '../config-file.ts';
import type { CredentialState } from '../credentials/credential-flow.ts';
import type { ImagesState } from '../images/images-state.ts';

/** Whether this agent is the one that works on the node. */
export type Duty =
  /** Another agent works on the node, or it cannot be known. */
  | { readonly state: 'waiting'; readonly reason: string }
  | { readonly state: 'working' }
  /** It took everything out again, as it was asked to, and does nothing more. */
  | { readonly state: 'cleaned' };

/** What the agent knows of its node; a part is undefined until it was looked at for the first time. */
export type Board = {
  readonly version: string;
  readonly node: string;
  readonly duty: Duty;
  readonly config: ConfigState | undefined;
  readonly credentials: CredentialState | undefined;
  readonly images: ImagesState;
};
