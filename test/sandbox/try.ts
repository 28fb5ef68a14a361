import { actionList, actions } from './actions.ts';
import { sendControl } from './control.ts';
import { sandboxDirectory } from './sandbox-directory.ts';

// `npm run try -- ACTION`: does something to the sandbox that runs in SANDBOX_DIR or .sandbox and says what it did.

async function main(words: readonly string[]): Promise<string> {
  const [name] = words;
  if (words.length !== 1 || name === undefined || !Object.hasOwn(actions, name)) throw new Error(usage());
  return await sendControl(sandboxDirectory, words);
}

function usage(): string {
  return `npm run try -- ACTION, while npm start runs in another terminal:\n${actionList('  ')}`;
}

main(process.argv.slice(2)).then(console.log, error => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
