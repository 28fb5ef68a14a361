import { type Document, isMap, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { parseByteSize } from './base/byte-size.ts';
import { formatDuration, parseDuration } from './base/duration.ts';
import { messageOf } from './base/failure.ts';

const durationExpected = 'expected a duration such as 90s or 10m';

/** The longest duration, in milliseconds: timers end at once when they are set for more than 24.8 days. */
const longest = 500 * 3_600_000;

/** A duration of at least so many milliseconds; less would make the agent spin. */
function duration(least: number) {
  return z.string({ error: durationExpected }).transform((text, context) => {
    const milliseconds = parseDuration(text);
    if (milliseconds === undefined) context.addIssue(durationExpected);
    else if (milliseconds < least)
      context.addIssue(`expected a duration of at least ${formatDuration(least)}`);
    else if (milliseconds > longest)
      context.addIssue(`expected a duration of at most ${formatDuration(longest)}`);
    return milliseconds ?? 0;
  });
}

const count = z
  .int({ error: 'expected a whole number from 1 to 1000' })
  .min(1, 'expected a whole number from 1 to 1000')
  .max(1000, 'expected a whole number from 1 to 1000');

const expectedMapping = { error: mappingError };

const yesOrNo = z.boolean({ error: 'expected true or false' });

const nodePath = z
  .string({ error: 'expected an absolute path on the node' })
  .regex(/^(?:\/[^/\0]+)+$/, 'expected an absolute path on the node')
  .refine(
    path => !path.split('/').some(part => part === '..' || part === '.'),
    'expected a path without "." and ".."',
  )
  // A slip of the pen (config.yaml) must not cost the node another file.
  .regex(/\.json$|\.dockercfg[^/]*$/, 'expected a docker config file such as /root/.docker/config.json');

/** A share of a whole, from 0 to 1. */
const share = z
  .string({ error: 'expected a share such as 40%' })
  .regex(/^(?:100|\d{1,2}(?:\.\d+)?)%$/, 'expected a share such as 40%')
  .transform(text => Number(text.slice(0, -1)) / 100);

const keepFree = z
  .union([z.string(), z.int()], { error: 'expected a share such as 20% or a size such as 50Gi' })
  .transform((value, context): KeepFree => {
    const [, percent] = /^(\d+(?:\.\d+)?)%$/.exec(String(value)) ?? [];
    if (percent !== undefined && Number(percent) < 100) return { share: Number(percent) / 100 };
    const bytes = parseByteSize(String(value));
    if (bytes === undefined) context.addIssue('expected a share such as 20% or a size such as 50Gi');
    return { bytes: bytes ?? 0 };
  });

const imageReference = z
  .string({ error: 'expected an image reference' })
  .min(1, 'expected an image reference');

const image = z.union(
  [
    imageReference.transform(reference => ({ image: reference })),
    z.strictObject({
      image: imageReference,
      pullPolicy: z.enum(['IfNotPresent', 'Always'], { error: 'expected IfNotPresent or Always' }).optional(),
      priority: z.int({ error: 'expected a whole number' }).optional(),
      required: yesOrNo.optional(),
      pin: yesOrNo.optional(),
    }),
  ],
  { error: 'expected an image reference or an object with "image"' },
);

const retry = z
  .strictObject({ initial: duration(100).prefault('1s'), max: duration(100).prefault('5m') }, expectedMapping)
  .refine(({ initial, max }) => initial <= max, 'expected "initial" to be no longer than "max"');

/** A section that is there without content (all of its lines commented out) is as good as absent. */
function section<Schema extends z.ZodType>(schema: Schema) {
  return z.preprocess(value => value ?? {}, schema);
}

const configSchema = z.strictObject(
  {
    credentials: section(
      z.strictObject(
        {
          targets: z
            .array(nodePath, { error: 'expected a list of paths' })
            .default(['/var/lib/kubelet/config.json', '/root/.docker/config.json']),
          helperRefresh: duration(60_000).prefault('30m'),
        },
        expectedMapping,
      ),
    ),
    images: z.preprocess(value => value ?? [], z.array(image, { error: 'expected a list of images' })),
    pulls: section(
      z.strictObject(
        {
          concurrency: count.default(2),
          perRegistry: count.default(2),
          timeout: duration(1_000).prefault('1h'),
          stallTimeout: duration(1_000).prefault('5m'),
          retry: section(retry),
          resync: duration(1_000).prefault('10m'),
          startJitter: duration(0).prefault('0s'),
          maxIoPressure: share.prefault('100%'),
        },
        expectedMapping,
      ),
    ),
    disk: section(z.strictObject({ keepFree: keepFree.prefault('20%') }, expectedMapping)),
  },
  expectedMapping,
);

/** How much of the image file system must stay free: a part of its size (0 to 1), or bytes. */
export type KeepFree = { readonly share: number } | { readonly bytes: number };

/** The config with every default filled in; durations in milliseconds. */
export type Config = Omit<z.output<typeof configSchema>, 'images'> & {
  readonly images: readonly ListedImage[];
};

/** One image of the config, as written. */
export type ImageSetting = {
  readonly image: string;
  readonly pullPolicy?: 'IfNotPresent' | 'Always' | undefined;
  readonly priority?: number | undefined;
  readonly required?: boolean | undefined;
  readonly pin?: boolean | undefined;
};

/** One image of the config, and where it stands. */
export type ListedImage = ImageSetting & { readonly position: Position };

/** A place in the config, counted from 1. */
type Position = { readonly line: number; readonly column: number };

/** What is wrong with a config, and where. */
type ConfigProblem = Position & { readonly message: string };

/** A usable config, or everything that is wrong with it. */
export type ParsedConfig =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** The config that is in force where there is no file: no images, all defaults. */
export const defaultConfig: Config = { ...configSchema.parse({}), images: [] };

/** Reads a config in YAML. All problems are reported together, each where it stands; unknown keys are problems. */
export function parseConfig(text: string): ParsedConfig {
  const lines = countLines(text);
  const document = parseDocument(text, { prettyErrors: false, logLevel: 'error' });
  if (document.errors.length > 0) {
    return { ok: false, problems: document.errors.map(error => at(lines, error.pos[0], error.message)) };
  }
  const value = toValue(document);
  if (typeof value === 'string') return { ok: false, problems: [{ line: 1, column: 1, message: value }] };
  // An empty file and one of comments alone say nothing, which is what a missing file says.
  const parsed = configSchema.safeParse(value.js ?? {});
  if (parsed.success) {
    const position = (index: number) => positionOf(lines, valueOffset(document, ['images', index, 'image']));
    const images = parsed.data.images.map((image, index) => ({ ...image, position: position(index) }));
    return { ok: true, config: { ...parsed.data, images } };
  }
  const problems = parsed.error.issues.flatMap(issue => explain(issue, [], document, lines));
  return { ok: false, problems: problems.toSorted((a, b) => a.line - b.line || a.column - b.column) };
}

/** The parser counts lines too, but none in what it cannot make sense of. */
function countLines(text: string): LineCounter {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (const { index } of text.matchAll(/\n/g)) lines.addNewLine(index + 1);
  return lines;
}

/** Zod asks one error setting for every issue of an object; only a wrong type needs other words. */
function mappingError(issue: { readonly code?: string }): string | undefined {
  return issue.code === 'invalid_type' ? 'expected a mapping' : undefined;
}

function toValue(document: Document): { js: unknown } | string {
  try {
    return { js: document.toJS() };
  } catch (error) {
    // Aliases that refer to aliases until memory runs out are refused by the YAML library.
    return messageOf(error);
  }
}

type Path = readonly PropertyKey[];

function explain(
  issue: z.core.$ZodIssue,
  prefix: Path,
  document: Document,
  lines: LineCounter,
): ConfigProblem[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(key =>
      at(lines, keyOffset(document, path, key), `unknown key ${[...path, key].join('.')}`),
    );
  }
  if (issue.code === 'invalid_union') {
    // The form that the writer meant is the one whose complaints go deeper than "this is another type".
    const inner = issue.errors.filter(errors =>
      errors.some(error => error.path.length > 0 || error.code === 'unrecognized_keys'),
    );
    if (inner.length > 0) return inner.flat().flatMap(error => explain(error, path, document, lines));
  }
  const where = path.length > 0 ? `${path.join('.')}: ` : '';
  return [at(lines, valueOffset(document, path), `${where}${issue.message}`)];
}

function at(lines: LineCounter, offset: number, message: string): ConfigProblem {
  return { ...positionOf(lines, offset), message };
}

function positionOf(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

function keyOffset(document: Document, path: Path, key: string): number {
  const map = document.getIn(path, true);
  const pair = isMap(map) ? map.items.find(item => String(item.key) === key) : undefined;
  return rangeStart(pair?.key) ?? valueOffset(document, path);
}

/** Where the value at `path` stands, or the nearest one around it that is there. */
function valueOffset(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const offset = rangeStart(document.getIn(path.slice(0, length), true));
    if (offset !== undefined) return offset;
  }
  return rangeStart(document.contents) ?? 0;
}

function rangeStart(node: unknown): number | undefined {
  const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined;
  return Array.isArray(range) ? Number(range[0]) : undefined;
}
