import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ManifestClaims,
  type PullAttempt,
  type RepositoryPull,
} from '../../../agent/runtimes/containerd/manifest-claims.ts';

const limits = { timeout: 5_000 };

/** When everything happens, in seconds from this. */
const start = Date.now() - 60_000;

/** The manifests of one repository, each with a config of its name, and pulls of its tags. */
function repository() {
  const claims = new ManifestClaims();
  const names = ['a', 'b', 'c'];
  const manifests = names.map(digest => ({
    digest,
    children: [],
    blobs: [{ digest: `${digest}-config`, size: 1 }],
  }));
  const touched = new Map<string, number>();
  const pulls: RepositoryPull[] = [];
  return {
    /** A pull of a tag begins. */
    begin(second: number, digest?: string): PullAttempt {
      const attempt = { isOver: false, config: undefined, manifest: undefined, isCertain: false };
      pulls.push({ attempt, digest, startedAt: start + second * 1_000 });
      return attempt;
    },
    /** A pull comes to a manifest. */
    touch: (digest: string, second: number) => void touched.set(digest, start + second * 1_000),
    end: (attempt: PullAttempt, digest: string) =>
      void Object.assign(attempt, { isOver: true, config: `${digest}-config` }),
    fail: (attempt: PullAttempt) => {
      attempt.isOver = true;
      pulls.splice(0, pulls.length, ...pulls.filter(pull => pull.attempt !== attempt));
    },
    /** What is known of the attempts after a look at the store. */
    look(...attempts: readonly PullAttempt[]) {
      const known = new Set(pulls.map(({ attempt }) => (attempt.isOver ? undefined : attempt.manifest)));
      const unknown = new Map([...touched].filter(([digest]) => !known.has(digest)));
      const there = manifests.filter(({ digest }) => touched.has(digest));
      claims.settle({ pulls, manifests: there, touched: unknown });
      return attempts.map(attempt => {
        const found = claims.manifestsOf(attempt, there);
        const digests = found.manifests.map(({ digest }) => digest).join(' or ');
        return found.isKnown || digests === '' ? digests : `${digests}?`;
      });
    },
  };
}

test('a manifest is that of the one pull which can have fetched it', limits, () => {
  const { begin, touch, look } = repository();
  touch('a', 0);
  const first = begin(1);
  assert.deepEqual(look(first), ['']);
  touch('b', 2);
  assert.deepEqual(look(first), ['b']);
  // The second comes to its own, and to one that was there before.
  const second = begin(3);
  assert.deepEqual(look(first, second), ['b', '']);
  touch('a', 4);
  assert.deepEqual(look(first, second), ['b', 'a']);
});

test('of two pulls none has a manifest before one has ended, whichever came first', limits, () => {
  const { begin, touch, end, look } = repository();
  const [first, second] = [begin(0), begin(0)];
  touch('a', 1);
  assert.deepEqual(look(first, second), ['a?', 'a?']);
  touch('b', 2);
  assert.deepEqual(look(first, second), ['a or b?', 'a or b?']);
  end(first, 'b');
  assert.deepEqual(look(first, second), ['b', 'a']);
});

test('what was another manifest in the end is taken from whoever had it', limits, () => {
  const { begin, touch, end, look } = repository();
  const first = begin(0);
  // Fetched by somebody else.
  touch('a', 1);
  assert.deepEqual(look(first), ['a']);
  const second = begin(2);
  touch('b', 3);
  assert.deepEqual(look(first, second), ['a', 'b']);
  end(first, 'b');
  assert.deepEqual(look(first, second), ['b', '']);
  end(second, 'a');
  assert.deepEqual(look(first, second), ['b', 'a']);
});

test('the manifest of a pull that has failed does not pass for that of the one left', limits, () => {
  const { begin, touch, fail, look } = repository();
  const [first, second] = [begin(0), begin(0)];
  touch('a', 1);
  assert.deepEqual(look(first, second), ['a?', 'a?']);
  fail(first);
  assert.deepEqual(look(second), ['a?']);
  // Tried again, it comes to it again.
  fail(second);
  const third = begin(5);
  assert.deepEqual(look(third), ['']);
  touch('a', 6);
  assert.deepEqual(look(third), ['a']);
});

test('a pull by digest has that manifest once it has come to it, and no other pull has it', limits, () => {
  const { begin, touch, look } = repository();
  touch('a', 0);
  const [byDigest, byTag] = [begin(1, 'a'), begin(1)];
  assert.deepEqual(look(byDigest, byTag), ['', '']);
  touch('a', 2);
  assert.deepEqual(look(byDigest, byTag), ['a', '']);
  touch('b', 3);
  assert.deepEqual(look(byDigest, byTag), ['a', 'b']);
});

test('a manifest of before the clock was set back is no new one', limits, () => {
  const { begin, touch, look } = repository();
  touch('a', 3_600);
  const first = begin(0);
  assert.deepEqual(look(first), ['']);
  touch('b', 1);
  assert.deepEqual(look(first), ['b']);
});
