import { formatByteSize } from '../base/byte-size.ts';
import { formatDuration } from '../base/duration.ts';
import type { ImageStatus, Status } from './status.ts';

/** The page for people: the status as HTML, without scripts, that renews itself every five seconds. */
export function renderPage(status: Status): string {
  const { node, version, ready, runtime, disk } = status;
  const title = `${node} is ${ready ? 'ready' : 'not ready'}`;
  const present = status.images.filter(({ warm }) => warm).length;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5">
<title>${escapeHtml(title)} - pullready</title>
<style>${style}</style>
</head>
<body>
<header class="${ready ? 'good' : 'bad'}"><h1>${escapeHtml(title)}</h1><p>${present} of ${status.images.length} images are there, pullready ${escapeHtml(version)}</p></header>
<main>
${list('Why not', status.reasons)}
${list('Worth knowing', status.notes)}
<h2>Images</h2>
${table(['Image', 'State', 'Progress', 'Tries', 'Took'], status.images.map(imageRow), 'No images are listed.')}
<h2>Docker config files</h2>
${table(['File', 'State', 'Ours', "Others'", 'Written', 'The kubelet sees it by'], status.credentials.targets.map(targetRow), 'No file is written yet.')}
<h2>Secrets</h2>
${table(['Secret', 'State', 'Entries'], status.credentials.sources.map(sourceRow), 'No Secret is mounted.')}
<h2>Registries</h2>
${table(['Registry', 'From the Secret'], status.credentials.entries.map(entryRow), 'There are no credentials.')}
<h2>Node</h2>
<p>${escapeHtml(describeRuntime(runtime))}</p>
<p>${escapeHtml(describeDisk(disk))}</p>
</main>
</body>
</html>
`;
}

const style = `
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #b35900; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; }
header { padding: 1rem 2rem; color: #fff; }
header.good { background: var(--good); }
header.bad { background: var(--bad); }
header h1 { margin: 0; font-size: 1.4rem; }
header p { margin: 0; opacity: .85; }
main { padding: 0 2rem 2rem; max-width: 80rem; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
ul { margin: 0; padding-left: 1.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem 1.2rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
td { overflow-wrap: anywhere; }
td:first-child { min-width: 15rem; }
td:nth-child(n+2) { white-space: nowrap; }
small { display: block; max-width: 60rem; opacity: .8; }
progress { width: 8rem; vertical-align: middle; }
.present, .current, .written { color: var(--good); }
.failed, .refused, .contested, .expired, .invalid, .skipped, .kept { color: var(--bad); font-weight: 600; }
`;

function imageRow({
  image,
  state,
  bytesDone,
  bytesTotal,
  attempts,
  durationMs,
  message,
  required,
}: ImageStatus): string {
  const bar =
    state === 'pulling' ? `<progress max="${bytesTotal ?? 1}" value="${bytesDone}"></progress> ` : '';
  const bytes = bytesTotal === null ? '' : `${formatByteSize(bytesDone)} of ${formatByteSize(bytesTotal)}`;
  const took = durationMs === null ? '' : formatDuration(durationMs);
  const name = `${escapeHtml(image)}${required ? '' : ' (optional)'}`;
  return row([name, mark(state), bar + bytes, attempts > 0 ? String(attempts) : '', took], message);
}

function targetRow(target: Status['credentials']['targets'][number]): string {
  const { path, state, managed, foreign, writtenAt, kubeletSeesBy, problem } = target;
  const times = [writtenAt, kubeletSeesBy].map(formatTime);
  return row([escapeHtml(path), mark(state), String(managed), String(foreign), ...times], problem);
}

function sourceRow({ name, state, entries, problems }: Status['credentials']['sources'][number]): string {
  return row([escapeHtml(name), mark(state), String(entries)], problems.join('; '));
}

function entryRow({ registry, source, state, expiresAt }: Status['credentials']['entries'][number]): string {
  return row([escapeHtml(registry), escapeHtml(source), mark(state), formatTime(expiresAt)], null);
}

function formatTime(time: string | null): string {
  return time ? `${time.slice(0, 19).replace('T', ' ')} UTC` : '';
}

/** A row whose first cell also holds what there is to say about it. */
function row([first = '', ...cells]: readonly string[], text: string | null): string {
  const remark = text ? `<small>${escapeHtml(text)}</small>` : '';
  return `<tr><td>${first}${remark}</td>${cells.map(cell => `<td>${cell}</td>`).join('')}</tr>`;
}

function table(heads: readonly string[], rows: readonly string[], none: string): string {
  if (rows.length === 0) return `<p>${escapeHtml(none)}</p>`;
  const head = heads.map(text => `<th>${escapeHtml(text)}</th>`).join('');
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
}

function list(heading: string, items: readonly string[]): string {
  if (items.length === 0) return '';
  return `<h2>${escapeHtml(heading)}</h2><ul>${items.map(item => `<li>${escapeHtml(item)}</li>`).join('')}</ul>`;
}

function mark(state: string): string {
  return `<span class="${escapeHtml(state)}">${escapeHtml(state)}</span>`;
}

function describeRuntime({ state, name, version, endpoint, reason, problem }: Status['runtime']): string {
  if (state === 'none') return 'Credentials only: no container runtime is used.';
  if (state === 'unavailable') return `No container runtime: ${problem}`;
  return `${name} ${version} at ${endpoint}, because ${reason}`;
}

function describeDisk({ path, freeBytes, keepFreeBytes }: Status['disk']): string {
  if (freeBytes === null || keepFreeBytes === null) return 'The room for images is not known.';
  return `${formatByteSize(freeBytes)} are free on the file system of ${path}; ${formatByteSize(keepFreeBytes)} are kept free.`;
}

function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, character => entities[character] ?? character);
}
