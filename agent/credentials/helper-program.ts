import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import { access, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf, Failure } from '../base/failure.ts';
import { fileFailure } from '../base/file-failure.ts';
import { SecretText } from '../base/secret-text.ts';
import { parseJsonText, stringFields } from '../docker-config/json-text.ts';
import { type Run, runBounded } from './bounded-run.ts';

/** What a helper program is asked, and where it lies. */
export type HelperQuestion = {
  /** Where the programs are; none is run that lies elsewhere. */
  readonly directory: string;
  /** What follows `docker-credential-` in the program's name. */
  readonly suffix: string;
  /** The registry as the docker config writes it. */
  readonly registry: string;
  readonly signal: AbortSignal;
  /** How long the program may run, in milliseconds: 30,000 unless told. */
  readonly timeoutMs?: number;
};

/** What came of it. No problem quotes what the program printed, for that may hold a secret. */
export type HelperAnswer =
  | { readonly kind: 'credential'; readonly username: string; readonly secret: SecretText }
  /** The user name was `<token>`: a token that docker exchanges at the registry for others. */
  | { readonly kind: 'identity-token'; readonly token: SecretText }
  /** A sentence that says what was asked, what went wrong and what to do. */
  | { readonly kind: 'failure'; readonly problem: string };

/**
 * Asks a credential helper program for the credential of one registry, with the `get` of docker's protocol
 * (https://github.com/docker/docker-credential-helpers). Never throws: that it was aborted is a failure, too.
 */
export async function askHelper(question: HelperQuestion): Promise<HelperAnswer> {
  const { directory, suffix, registry, signal, timeoutMs = 30_000 } = question;
  // What the document names is shown only once there is a program of that name: it may be a secret in the wrong place.
  let tried = `asking a credential helper for ${JSON.stringify(registry)}`;
  try {
    if (!suffixPattern.test(suffix)) throw misnamed(tried);
    const name = `docker-credential-${suffix}`;
    const path = await findEntry(directory, name, tried);
    tried = `asking ${name} for ${JSON.stringify(registry)}`;
    const file = await checkProgram(path, tried);
    const run = await runBounded(file, ['get'], { input: registry, outputLimit, timeoutMs, signal });
    return readAnswer(outputOf(run, tried), tried);
  } catch (error) {
    // The message of a foreign error could quote anything.
    const problem = `something unforeseen went wrong (${codeOf(error) ?? 'no code'})`;
    const failure = error instanceof Failure ? error : new Failure({ tried, problem });
    return { kind: 'failure', problem: failure.message };
  }
}

/** A credential has a few kilobytes at most. */
const outputLimit = 64 * 1024;

/** No path can be made of such a suffix. */
const suffixPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

function misnamed(tried: string): Failure {
  return new Failure({
    tried,
    problem: 'what the Secret names is not the name of a program',
    advice: 'name it with at most 100 letters, digits, dots, dashes and underscores, a letter or digit first',
  });
}

/** The path of what has this name in the directory. If there is none, the error names those that are there. */
async function findEntry(directory: string, name: string, tried: string): Promise<string> {
  const names = await readdir(directory).catch(error => {
    throw missing(error, `there is no directory ${directory}`, tried);
  });
  if (names.includes(name)) return join(directory, name);
  const programs = names.filter(candidate => candidate.startsWith('docker-credential-')).toSorted();
  const others = programs.length === 0 ? 'is none at all' : `are ${programs.join(', ')}`;
  const problem = `the program that the Secret names is not in ${directory}; there ${others}`;
  throw new Failure({ tried, problem, advice: bringIt });
}

/** Makes sure that a program does not lie elsewhere and can be run. */
async function checkProgram(path: string, tried: string): Promise<string> {
  const real = await realpath(dirname(path));
  const target = await realpath(path).catch(error => {
    throw missing(error, 'it is a link that leads nowhere', tried);
  });
  if (!target.startsWith(join(real, '/'))) {
    const problem = `it is a link that leads out of ${dirname(path)}`;
    throw new Failure({ tried, problem, advice: 'put the program itself there' });
  }
  if (!(await stat(target)).isFile())
    throw new Failure({ tried, problem: 'it is no regular file', advice: 'put the program in its place' });
  await access(target, constants.X_OK).catch(() => {
    const advice = 'give it the mode 0755, on a file system that is not mounted noexec';
    throw new Failure({ tried, problem: 'it is not executable', advice });
  });
  // By the name that was asked for: one program may serve several names.
  return join(real, basename(path));
}

function missing(error: unknown, problem: string, tried: string): Failure {
  if (codeOf(error) !== 'ENOENT') return fileFailure(tried, error);
  return new Failure({ tried, problem, advice: bringIt });
}

const bringIt = 'bring it there with the image or a mount';

const runByHand = 'run it by hand on the node to see what it says';

/** What the program printed, if it ended well. */
function outputOf(run: Run, tried: string): Uint8Array {
  if (run.end === 'exit' && run.status === 0) return run.output;
  const [problem, advice] = explainEnd(run);
  throw new Failure({ tried, problem, ...(advice && { advice }) });
}

function explainEnd(run: Run): readonly [problem: string, advice?: string] {
  switch (run.end) {
    case 'exit':
      return explainMessage(run.output) ?? [`it ended with status ${run.status}`, runByHand];
    case 'killed':
      return [`it was killed by ${run.signal}`, 'look for a lack of memory (dmesg), or a crash of it'];
    case 'aborted':
      return ['it was ended, because the agent wants no answer any more'];
    case 'timeout':
      return ['it took too long and was ended', `see whether it can reach what it asks; ${runByHand}`];
    case 'unkillable':
      return [
        'it had to be ended, and SIGKILL does not end it',
        'see what it hangs in (ps -o pid,stat,user,wchan)',
      ];
    case 'too much output':
      return [`it printed more than ${outputLimit / 1024} KiB`, `a credential is far smaller; ${runByHand}`];
    case 'not started':
      return explainStart(run.code);
  }
}

/** What the protocol has a program print before it exits with status 1; some programs give the first for any failure. */
function explainMessage(output: Uint8Array): readonly [problem: string, advice: string] | undefined {
  switch (Buffer.from(output).toString('utf8').trim()) {
    case 'credentials not found in native keychain':
      return ['it knows none', 'give the node access to the registry, or see the log of that program'];
    case 'no credentials server URL':
      return ['it was given no registry', 'name the registry in the source'];
    case 'no credentials username':
      return ['what it knows has no user name', 'have that program log in anew'];
    default:
      return undefined;
  }
}

function explainStart(code: string | undefined): readonly [problem: string, advice: string] {
  // The file itself is there.
  if (code === 'ENOENT')
    return ['the interpreter or loader that it names is missing', 'use a statically linked program'];
  return [`it could not be started (${code ?? 'no code'})`, runByHand];
}

/** Reads the answer as docker does, by the rules of Go's decoder. */
function readAnswer(output: Uint8Array, tried: string): HelperAnswer {
  const advice = `see that it speaks docker's protocol; ${runByHand}`;
  const root = isUtf8(output) ? parseJsonText(Buffer.from(output).toString('utf8')) : undefined;
  if (!root) throw new Failure({ tried, problem: 'what it printed is not JSON', advice });
  const fields = root.type === 'object' ? stringFields(root, ['username', 'secret']) : undefined;
  if (!fields || 'problem' in fields) {
    const problem = 'what it printed is not an object with Username and Secret as strings';
    throw new Failure({ tried, problem, advice });
  }
  const { username, secret } = fields;
  if (secret === '') throw new Failure({ tried, problem: 'its answer has no secret', advice });
  if (username === '') throw new Failure({ tried, problem: 'its answer has no user name', advice });
  if (username === '<token>') return { kind: 'identity-token', token: new SecretText(secret) };
  if (!username.includes(':')) return { kind: 'credential', username, secret: new SecretText(secret) };
  throw new Failure({ tried, problem: 'its user name has a colon, which no docker config can hold', advice });
}
