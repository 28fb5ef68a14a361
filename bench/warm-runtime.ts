import type { RegistryLogin } from '../test/sandbox/docker-config.ts';
import type { EngineOptions } from '../test/sandbox/docker-engine.ts';
import type { NodeProgram } from '../test/sandbox/node-program.ts';

/** A container runtime to warm, and what stands in a script that does it without the agent. */
export type WarmRuntime = NodeProgram & {
  /** The runtime, and the program that pulls in a script: `containerd` and `ctr`. */
  readonly name: string;
  readonly script: string;
  /** The command that pulls the image whose reference comes last, once there is a login. */
  pullCommand(login: RegistryLogin): Promise<readonly string[]>;
  /** Takes every image off the node; returns when the runtime has let go of all that was in them. */
  removeImages(): Promise<void>;
};

/** Describes a runtime on a node's root. */
export type CreateWarmRuntime = (options: EngineOptions) => WarmRuntime;
