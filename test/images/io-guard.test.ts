import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { IoGuard } from '../../agent/images/io-guard.ts';
import { measureIoPressure } from '../../agent/images/io-pressure.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';

test('pressure above the limit is told once when it begins and once when it ends', async () => {
  const told: string[] = [];
  let share: number | undefined = 0.5;
  const guard = new IoGuard(
    () => told.push('high'),
    () => told.push('calm'),
    async () => share,
  );
  await guard.look(0.4);
  await guard.look(0.4);
  assert.deepEqual([told, guard.high], [['high'], { share: 0.5, limit: 0.4 }]);
  share = 0.4;
  await guard.look(0.4);
  await guard.look(0.4);
  assert.deepEqual([told, guard.high], [['high', 'calm'], null]);
  share = undefined;
  await guard.look(0.1);
  assert.equal(guard.high, null, 'a kernel that does not tell is calm');
  assert.match(guard.problem ?? '', /maxIoPressure has no effect/);
  await guard.look(1);
  assert.equal(guard.problem, null, 'without a limit that is no matter');
});

test('without a limit the pressure is not even measured', async () => {
  const guard = new IoGuard(
    () => assert.fail('not high'),
    () => assert.fail('not calm'),
    () => assert.fail('measured'),
  );
  await guard.look(1);
  assert.equal(guard.high, null);
});

test('the pressure is what the kernel says of the last ten seconds', async t => {
  const file = join(await temporaryDirectory(t), 'io');
  const text =
    'some avg10=12.50 avg60=3.00 avg300=1.00 total=5\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=1\n';
  await writeFile(file, text);
  assert.equal(await measureIoPressure(file), 0.125);
  await writeFile(file, 'nothing that is known');
  assert.equal(await measureIoPressure(file), undefined);
  assert.equal(await measureIoPressure(join(file, 'missing')), undefined);
  const here = await measureIoPressure();
  assert.ok(here === undefined || (here >= 0 && here <= 1));
});
