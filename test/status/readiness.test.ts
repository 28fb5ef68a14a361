import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findNotes, findReasons } from '../../agent/status/readiness.ts';
import { board, imageState, source, targetState } from './boards.ts';

test('a node is ready when all was read, every target is current and every required image is there', () => {
  assert.deepEqual(findReasons(board()), []);
  assert.deepEqual(
    findReasons(board({ images: { images: [imageState('a:1', { state: 'present', warm: true })] } })),
    [],
  );
});

test('it is not ready before everything was looked at', () => {
  const fresh = board({ board: { config: undefined, credentials: undefined } });
  assert.deepEqual(findReasons(fresh), ['the config was not read yet', 'the secrets were not read yet']);
});

test('a broken Secret, a failed target and a missing image are reasons; each says what is wrong', () => {
  const sources = [
    source({ state: 'kept', problems: ['it is not JSON'] }),
    source({ name: 'team-b', state: 'invalid', problems: ['it is a list'] }),
  ];
  const targets = [
    targetState({ state: 'failed', problem: 'writing it: no' }),
    targetState({ state: 'refused', problem: 'it is a link' }),
  ];
  const images = [
    imageState('a:1', { state: 'pulling' }),
    imageState('b:1', { state: 'failed', failure: { kind: 'auth', message: 'denied' } }),
    imageState('c:1', { state: 'skipped', failure: { kind: 'platform', message: 'no platform' } }),
  ];
  const unusable = [{ image: 'A b', required: true, problem: 'it has a space in it' }];
  assert.deepEqual(findReasons(board({ sources, targets, images: { images, unusable } })), [
    'secret team-a: it is not JSON (its last good entries stay in force)',
    'secret team-b: it is a list',
    'writing it: no',
    '/var/lib/kubelet/config.json is not written: it is a link',
    'image a:1 is pulling',
    'image b:1 failed: denied',
    'image c:1 is skipped: no platform',
    'image A b cannot be pulled: it has a space in it',
  ]);
});

test('an image that is optional, a Secret that never was there and a bad entry are notes alone', () => {
  const state = board({
    sources: [
      source({ problems: ['the entry "x" is left out'] }),
      source({ name: 'team-b', state: 'absent', problems: ['the Secret does not exist'] }),
    ],
    targets: [targetState({ setAside: ['bad.io'] })],
    credentials: {
      conflicts: ['"r" is in the Secrets a and b'],
      warnings: [{ about: 'x', text: 'the credential expires soon' }],
    },
    images: { images: [imageState('a:1', {}, false)], diskProblem: 'measuring: no' },
  });
  assert.deepEqual(findReasons(state), []);
  assert.deepEqual(findNotes(state), [
    'secret team-b: the Secret does not exist',
    'secret team-a: the entry "x" is left out',
    '"r" is in the Secrets a and b',
    'somebody else\'s entry "bad.io" in /var/lib/kubelet/config.json is malformed and would void the whole file for its reader, so it is kept aside; write it anew (docker login) if it is needed',
    'the credential expires soon',
    'image a:1 is waiting',
    'measuring: no',
  ]);
});

test('without a runtime a node with images is not ready, and one without images is', () => {
  const runtime = {
    state: 'unavailable',
    name: null,
    version: null,
    endpoint: null,
    reason: null,
    problem: 'no socket',
    capabilities: null,
  } as const;
  assert.deepEqual(findReasons(board({ images: { runtime } })), []);
  const waiting = board({ images: { runtime, images: [imageState('a:1')] } });
  assert.deepEqual(findReasons(waiting), ['no container runtime: no socket', 'image a:1 is waiting']);
  const optional = board({ images: { runtime, images: [imageState('a:1', {}, false)] } });
  assert.deepEqual(findReasons(optional), [], 'what is optional is reported only');
  const none = board({ images: { runtime: { ...runtime, state: 'none' }, images: [imageState('a:1')] } });
  assert.deepEqual(findReasons(none), []);
});

test('an agent that is not the one that works on the node is not ready, whatever it knows', () => {
  const waiting = board({
    board: { duty: { state: 'waiting', reason: 'another agent works on this node' } },
  });
  assert.deepEqual(findReasons(waiting), ['another agent works on this node']);
  const [cleaned = ''] = findReasons(board({ board: { duty: { state: 'cleaned' } } }));
  assert.match(cleaned, /the node was cleaned; start the agent anew/);
});
