import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environmentName, parseSettings, settingNames, settingTable } from '../agent/settings.ts';

test('without flags and variables every setting has its default', () => {
  const parsed = parseSettings([], {});
  assert.ok(parsed.ok);
  for (const name of settingNames)
    assert.equal(String(parsed.settings[name]), settingTable[name].fallback, name);
});

test('every flag is also an environment variable, and the flag wins', () => {
  const environment = {
    PULLREADY_HOST_ROOT: '/from/variable',
    PULLREADY_ONCE: 'true',
    PULLREADY_SERVICE_HOST: 'x',
  };
  const parsed = parseSettings(['--host-root', '/from/flag/'], environment);
  assert.ok(parsed.ok);
  assert.equal(parsed.settings['host-root'], '/from/flag');
  assert.equal(parsed.settings.once, true);
  assert.deepEqual(settingNames.map(environmentName).slice(0, 3), [
    'PULLREADY_SECRETS',
    'PULLREADY_CONFIG',
    'PULLREADY_HOST_ROOT',
  ]);
});

test('unknown flags and bad values are all reported at once', () => {
  const parsed = parseSettings(
    ['--lisen=x', 'stray', '--log-level', 'loud', '--listen', '9797', '--state-dir=relative', '--config'],
    { PULLREADY_RUNTIME: 'tcp://x', PULLREADY_ONCE: 'maybe' },
  );
  assert.ok(!parsed.ok);
  assert.deepEqual(parsed.problems, [
    'unknown flag --lisen',
    'unexpected argument "stray"',
    '--config: expected a value (--config FILE)',
    '--state-dir: expected an absolute path on the node, got "relative"',
    'PULLREADY_RUNTIME: expected auto, none or unix:///path/of/the.sock, got "tcp://x"',
    '--listen: expected HOST:PORT (such as 0.0.0.0:9797 or [::]:9797) or none, got "9797"',
    'PULLREADY_ONCE: expected true or false, got "maybe"',
    '--log-level: expected trace, debug, info, warn, error or fatal, got "loud"',
  ]);
});

test('the flag that follows is never taken for a value, nor is an empty variable', () => {
  const swallowed = parseSettings(['--host-root', '--once', '--secrets=-dash'], { PULLREADY_HELPERS: '' });
  assert.ok(!swallowed.ok);
  assert.deepEqual(swallowed.problems, [
    '--host-root: expected a value (--host-root DIR)',
    'PULLREADY_HELPERS: expected a path, got ""',
  ]);
  const dash = parseSettings(['--secrets=/-dash', '--once'], {});
  assert.ok(dash.ok && dash.settings.secrets === '/-dash' && dash.settings.once);
});

test('a flag of the name of a prototype is unknown like any other', () => {
  const parsed = parseSettings(['--__proto__=x', '--constructor', '-x', '--', '--once'], {});
  assert.ok(!parsed.ok);
  assert.deepEqual(parsed.problems, [
    'unknown flag --__proto__',
    'unknown flag --constructor',
    'unknown flag -x',
    'unexpected argument "--once"',
  ]);
});

test('addresses to listen on are HOST:PORT', () => {
  for (const good of ['0.0.0.0:9797', '[::]:0', 'localhost:65535', 'none']) {
    assert.ok(parseSettings(['--listen', good], {}).ok, good);
  }
  for (const bad of ['9797', ':9797', '::1:80', 'host:65536', 'host:', 'a b:1']) {
    assert.ok(!parseSettings(['--listen', bad], {}).ok, bad);
  }
});

test('a path cannot climb out of the node', () => {
  const parsed = parseSettings(['--state-dir', '/../../etc/../var/x'], {});
  assert.ok(parsed.ok);
  assert.equal(parsed.settings['state-dir'], '/var/x');
});
