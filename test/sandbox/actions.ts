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

/** What `npm run try -- NAME` can do, in the order in which it is worth trying. */
export const actions: Readonly<Record<string, Action>> = {
  'rotate-password': {
    meaning:
      'a new password for team-b, in the registry and in the Secret; the old one is refused from then on',
    async run({ node, writeSecret }) {
      await node.registry.setPassword('team-b', newPassword());
      await writeSecret('team-b');
      return "team-b has a new password in the registry and in its Secret. Look at the node's docker configs.";
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
    meaning: `deletes ${deleted} from the node behind the agent's back, as a garbage collection does`,
    async run({ node: { containerd } }) {
      const lines = (await containerd.ctr('images', 'ls')).trim().split('\n');
      const digest = lines.find(line => line.includes(`/${deleted}:`))?.match(/sha256:[0-9a-f]{64}/)?.[0];
      if (digest === undefined) return `${deleted} is not on the node.`;
      const names = lines.filter(line => line.includes(digest)).flatMap(line => line.split(' ').slice(0, 1));
      await containerd.ctr('images', 'rm', '--sync', ...names);
      return `${deleted} is gone from the node. The agent looks every ${resyncSeconds} seconds and pulls it again.`;
    },
  },
  'break-secret': {
    meaning: 'writes something that is no JSON into the Secret team-a',
    async run({ node }) {
      await node.updateSecret('team-a', { '.dockerconfigjson': '{"auths": {' });
      return 'The Secret team-a is broken; what the agent wrote from it before stays on the node.';
    },
  },
  'mend-secret': {
    meaning: 'writes the good content again',
    async run({ writeSecret }) {
      await writeSecret('team-a');
      return 'The Secret team-a is good again.';
    },
  },
  'stop-containerd': {
    meaning: 'stops the container runtime',
    async run({ node: { containerd } }) {
      await containerd.stop();
      return 'containerd is stopped.';
    },
  },
  'start-containerd': {
    meaning: 'starts it again',
    async run({ node: { containerd } }) {
      await containerd.start();
      return 'containerd runs.';
    },
  },
};
