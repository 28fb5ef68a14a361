import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { type DockerAnswers, json, serveDocker } from './small-docker.ts';

const limits = { timeout: 60_000 };
const megabyte = 2 ** 20;

const runtime = join(import.meta.dirname, '../../../agent/runtimes/docker/docker-runtime.ts');

/** Asks the docker at a socket for all that is read of it, and tells what came of that, and its highest use of memory. */
const asker = `
  import { connectDocker } from ${JSON.stringify(runtime)};
  const { signal } = new AbortController();
  const told = [];
  const tell = answer => answer.then(String, String).then(text => told.push(text));
  try {
    const runtime = await connectDocker(process.argv[1], 'unix:///run/docker.sock', signal);
    await tell(runtime.listImages(signal).then(({ size }) => size + ' names'));
    await tell(runtime.imageDirectory(signal));
    await tell(runtime.hasPods(signal));
    runtime.close();
  } catch (error) {
    told.push(String(error));
  }
  console.log(JSON.stringify({ told, bytes: process.resourceUsage().maxRSS * 1024 }));
`;

/** Asks a docker with these answers, in a process that has no more memory than a small pod. */
async function ask(t: TestContext, answers: DockerAnswers): Promise<{ told: string[]; bytes: number }> {
  const { socketPath } = await serveDocker(t, {
    '/info': json({ DockerRootDir: '/data' }),
    '/containers/json': json([]),
    ...answers,
  });
  const flags = ['--max-old-space-size=96', '--input-type=module', '--eval', asker];
  const options = { timeout: 30_000, killSignal: 'SIGKILL' } as const;
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, socketPath], options);
  return JSON.parse(stdout);
}

const text = (begin: string, piece: string, bytes: number, end: string) =>
  begin + piece.repeat(bytes / piece.length) + end;

/** A list of about so many bytes, in which no name is twice. */
function listOfImages(bytes: number, names: number): string {
  const images: string[] = [];
  for (let length = 0, name = 0; length < bytes; length += images.at(-1)?.length ?? 0) {
    const tags = Array.from({ length: names }, () => `${(name++).toString(36)}:1`);
    images.push(JSON.stringify({ Id: 'a', RepoTags: tags }));
  }
  return `[${images}]`;
}

test(
  'no answer takes more memory than a small pod has, and one that is none spoils no other',
  limits,
  async t => {
    const good = '{"Id":"sha256:0","RepoTags":["a:1"]},';
    const cases: readonly (readonly [keyof DockerAnswers, string, RegExp])[] = [
      [
        '/version',
        text('{"Version":"1","ApiVersion":"1.41","Components":[', '1,', megabyte, '1]}'),
        /it sends more than 65536 bytes/,
      ],
      [
        '/version',
        text('{"Version":"1","ApiVersion":"1.41","Components":[', '1,', 64_000, '1]}'),
        /not understood/,
      ],
      [
        '/info',
        text('{"DockerRootDir":"/d","DriverStatus":[', '1,', megabyte, '1]}'),
        /^0 names,undefined,false$/,
      ],
      [
        '/info',
        text('{"DockerRootDir":"/d","DriverStatus":[', '1,', 64_000, '1]}'),
        /^0 names,undefined,false$/,
      ],
      ['/images/json', text('[', '1,', 7 * megabyte, '1]'), /^F.* no JSON object,\/data,false$/],
      ['/images/json', text('[', '{},', 7 * megabyte, '{}]'), /^F.* not understood,\/data,false$/],
      ['/images/json', text('[{"Id":"0","RepoTags":[', '1,', megabyte - 99, '1]}]'), /^F.* not understood,/],
      [
        '/images/json',
        text('[', good, 29 * megabyte, '{"Id":"1"}]'),
        /^F.* more than 20000 images and names,/,
      ],
      ['/images/json', listOfImages(7 * megabyte, 1), /^F.* more than 20000 images and names,/],
      ['/images/json', listOfImages(7 * megabyte, 50_000), /^F.* more than 20000 images and names,/],
      ['/images/json', text('[', `{"Id":"0","L":"${'x'.repeat(9_000)}"},`, 9 * megabyte, '{}]'), /8388608/],
      ['/images/json', listOfImages(200_000, 5), /^\d+ names,\/data,false$/],
      ['/containers/json', text('[', '1,', 7 * megabyte, '1]'), /^0 names,\/data,F.* no JSON object$/],
      ['/containers/json', text('[', '{},', 7 * megabyte, '{}]'), /^0 names,\/data,true$/],
    ];
    for (const [path, body, says] of cases)
      await t.test(`${path}: ${body.slice(0, 60)}`, async t => {
        const { told, bytes } = await ask(t, { [path]: response => response.end(body) });
        assert.match(`${told}`, says);

        // Without any of it the process has some 105 MB.
        assert.ok(bytes < 160 * megabyte, `${Math.round(bytes / megabyte)} MB`);
      });
  },
);
