import { join } from 'node:path';
import { actions } from './actions.ts';
import { sendControl } from './control.ts';

// `npm run try -- ACTION`: does something to the running sandbox of this project and says what it did.

const directory = join(import.meta.dirname, '../../.sandbox');

async function main(words: readonly string[]): Promise<string> {
  const [name] = words;
  if (words.length !== 1 || name === undefined || !Object.hasOwn(actions, name)) throw new Error(usage());
  return await sendControl(directory, words);
}

function usage(): string {
  const rows = Object.entries(actions).map(([name, { meaning }]) => `  ${name.padEnd(18)} ${meaning}`);
  return `npm run try -- ACTION, while npm start runs in another terminal:\n${rows.join('\n')}`;
}

main(process.argv.slice(2)).then(console.log, error => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
