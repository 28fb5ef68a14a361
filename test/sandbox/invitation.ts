import { join, relative } from 'node:path';
import { actionList } from './actions.ts';
import { project, sandboxDirectory, tryPrefix } from './sandbox-directory.ts';
import { type RuntimeName, runtimeChoices } from './sandbox-runtime.ts';

/**
 * What a person is told when the sandbox is ready: commands to type in a second terminal, each on one line of at most
 * 100 columns.
 *
 * @param listen the `--listen` of the agent
 */
export function invitation(listen: string, runtime: RuntimeName): string {
  const node = relative(project, join(sandboxDirectory, 'node'));
  const looks = [
    ...(listen === 'none' ? [] : pages(listen)),
    '# What the kubelet would read.',
    `cat ${node}/var/lib/kubelet/config.json`,
    `# The images in the node's ${runtime}.`,
    runtimeChoices[runtime].listCommand(node),
  ];
  return `
The agent runs now. Things to try from a second terminal, in ${project}:

${actionList(`  ${tryPrefix}npm run try -- `)}

And to look at:

${looks.map(line => `  ${line}`).join('\n')}

Ctrl-C stops everything.
`;
}

function pages(listen: string): readonly string[] {
  return [
    '# What the agent has and lacks. / is a page for a browser; there are /readyz and /metrics, too.',
    `curl http://${listen}/status`,
  ];
}
