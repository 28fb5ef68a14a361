import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** One line of the Dockerfile, without comments and with its continuation lines. */
export type Instruction = { readonly name: string; readonly value: string };

/** The Dockerfile, taken apart. */
export type Dockerfile = {
  /** What stands before the first stage. */
  readonly head: readonly Instruction[];
  readonly buildStage: readonly Instruction[];
  /** The stage that is shipped. */
  readonly finalStage: readonly Instruction[];
};

/** Reads the Dockerfile of the project, which has to have one stage that builds and one that is shipped. */
export async function readDockerfile(): Promise<Dockerfile> {
  const file = fileURLToPath(new URL('../../Dockerfile', import.meta.url));
  const instructions = parseInstructions(await readFile(file, 'utf8'));
  const starts = instructions.flatMap(({ name }, index) => (name === 'FROM' ? [index] : []));
  assert.equal(starts.length, 2, 'a stage that builds and one that is shipped');
  return {
    head: instructions.slice(0, starts[0]),
    buildStage: instructions.slice(starts[0], starts[1]),
    finalStage: instructions.slice(starts[1]),
  };
}

/** The value of the first instruction of that name. */
export function first(name: string, stage: readonly Instruction[]): string {
  const found = stage.find(instruction => instruction.name === name);
  assert.ok(found, `no ${name} in the stage`);
  return found.value;
}

/** The program that the image starts, with its first arguments. */
export function entrypointOf(stage: readonly Instruction[]): readonly string[] {
  return JSON.parse(first('ENTRYPOINT', stage)) as readonly string[];
}

function parseInstructions(text: string): readonly Instruction[] {
  const lines = text
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  return lines.flatMap(line => {
    const [, name, value] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) return [{ name, value }];
    assert.equal(line.trim(), '', 'every line is an instruction');
    return [];
  });
}
