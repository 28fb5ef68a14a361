import { defaultConfig } from '../../agent/config.ts';
import type { CredentialState } from '../../agent/credentials/credential-flow.ts';
import type { Source } from '../../agent/credentials/sources.ts';
import type { TargetState } from '../../agent/credentials/targets.ts';
import { type ImageState, newImageState } from '../../agent/images/image-state.ts';
import type { Board } from '../../agent/status/board.ts';
import { wanted } from '../images/listed.ts';

/** An image of the list as it stands, by what differs from one that just came onto the list. */
export function imageState(image: string, change: Partial<ImageState> = {}, required = true): ImageState {
  const [one] = wanted({ image, required });
  if (!one) throw new Error(`${image} is no reference`);
  return { ...newImageState(one), ...change };
}

/** A mounted Secret as it stands, by what differs from one without entries that was read well. */
export function source(change: Partial<Source> = {}): Source {
  return { name: 'team-a', state: 'current', entries: [], helpers: [], leftOut: [], problems: [], ...change };
}

/** A target as it stands, by what differs from one that is current. */
export function targetState(change: Partial<TargetState> = {}): TargetState {
  return {
    path: '/var/lib/kubelet/config.json',
    state: 'current',
    managed: 1,
    foreign: 0,
    displaced: [],
    setAside: [],
    drifted: false,
    problem: null,
    written: false,
    text: undefined,
    writtenAt: new Date('2026-01-02T03:04:05Z'),
    kubeletSeesBy: new Date('2026-01-02T03:09:05Z'),
    ...change,
  };
}

/** What an agent knows of a node where all is well, and what differs from that. */
export function board(
  change: {
    readonly sources?: readonly Source[];
    readonly targets?: readonly TargetState[];
    readonly credentials?: Partial<CredentialState>;
    readonly images?: Partial<Board['images']>;
    readonly board?: Partial<Board>;
  } = {},
): Board {
  return {
    version: '1.2.3',
    node: 'node-1',
    duty: { state: 'working' },
    config: { config: defaultConfig, problems: [] },
    credentials: {
      sources: change.sources ?? [
        { name: 'team-a', state: 'current', entries: [], helpers: [], leftOut: [], problems: [] },
      ],
      targets: change.targets ?? [targetState()],
      entries: [],
      problems: [],
      conflicts: [],
      warnings: [],
      keyring: { lookup: () => [] },
      ...change.credentials,
    },
    images: {
      runtime: {
        state: 'connected',
        name: 'containerd',
        version: '1.6',
        endpoint: 'unix:///x',
        reason: 'it is a test',
        problem: null,
        capabilities: { progress: true, pins: true, deletions: true },
      },
      images: [],
      unusable: [],
      listWarnings: [],
      disk: { path: '/', freeBytes: 10, keepFreeBytes: 2 },
      diskProblem: null,
      ioPressure: null,
      ioProblem: null,
      pinned: new Set(),
      pinProblem: null,
      pinsUntold: false,
      ...change.images,
    },
    ...change.board,
  };
}
