import { type Demonstration, newPassword, resyncSeconds } from './demonstration.ts';
import { extraImage } from './sandbox-images.ts';

/** Something to try on a running sandbox. */
export type Action = {
  readonly meaning: string;
  /** Does it and says what was done. */
  run(demonstration: Demonstration): Promise<string>;
};

const deleted = 'team-a/web';
const removed = 'team-a/hello';

/** A line for each action: what to type after `prefix`, and what it means. */
export function actionList(prefix: string): string {
  const width = Math.max(...Object.keys(actions).map(name => name.length));
  return Object.entries(actions)
    .map(([name, { meaning }]) => `${prefix}${name.padEnd(width)}   ${meaning}`)
    .join('\n');
}

/** What `npm run try -- NAME` can do, in the order in which it is worth trying. */
export const actions: Readonly<Record<string, Action>> = {
  'rotate-password': {
    meaning: 'a new password for team-b, in the registry and in the Secret',
    async run({ node, writeSecret }) {
      await node.registry.setPassword('team-b', newPassword());
      await writeSecret('team-b');
      return 'team-b has a new password in the registry and in its Secret; the old one is refused from now on.';
    },
  },
  'add-image': {
    meaning: `puts ${extraImage.repository} on the list`,
    async run({ listed, writeConfig }) {
      listed.add(extraImage.repository);
      await writeConfig();
      return `${extraImage.repository} is on the list now.`;
    },
  },
  'remove-image': {
    meaning: `takes ${removed} off the list`,
    async run({ listed, writeConfig }) {
      listed.delete(removed);
      await writeConfig();
      return `${removed} is off the list; the image itself stays on the node.`;
    },
  },
  'delete-image': {
    meaning: `deletes ${deleted} from the node behind the agent's back`,
    async run({ node: { runtime } }) {
      if (!(await runtime.deleteImages(`/${deleted}:`))) return `${deleted} is not on the node.`;
      return `${deleted} is gone from the node. The agent looks every ${resyncSeconds} seconds and pulls it again.`;
    },
  },
  'break-secret': {
    meaning: 'something that is no JSON in the Secret team-a',
    async run({ node }) {
      await node.updateSecret('team-a', { '.dockerconfigjson': '{"auths": {' });
      return 'The Secret team-a is broken; what the agent wrote from it before stays on the node.';
    },
  },
  'mend-secret': {
    meaning: 'the good content in it again',
    async run({ writeSecret }) {
      await writeSecret('team-a');
      return 'The Secret team-a is good again.';
    },
  },
  'stop-runtime': {
    meaning: 'stops the container runtime',
    async run({ node: { runtime } }) {
      await runtime.stop();
      return 'The container runtime is stopped.';
    },
  },
  'start-runtime': {
    meaning: 'starts it again',
    async run({ node: { runtime } }) {
      await runtime.start();
      return 'The container runtime runs.';
    },
  },
};
