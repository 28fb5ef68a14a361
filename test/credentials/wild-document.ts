import fc from 'fast-check';
import type { DockerConfigForm } from '../../agent/docker-config/docker-config-text.ts';

/** A document of a Secret that somebody got wrong. */
export type WildDocument = {
  readonly form: DockerConfigForm;
  readonly bytes: Buffer;
  /** The logins, `user:password` by registry, that are in it unharmed. */
  readonly good: Readonly<Record<string, string>>;
};

/** Values that stand where an entry should: of the wrong type, with odd base64, doubled, nested, endless, or harmless. */
const oddValues = [
  ...[
    'null',
    '3',
    '-0',
    '1e999',
    '0.1e-7',
    'true',
    '""',
    '"dTpw"',
    '[]',
    '[{"auth":"dTpw"}]',
    '{}',
    '{"":""}',
  ],
  ...['""', '3', 'null', '{}', '["dTpw"]', '"!"', '"dTpw="', '"dTpw=="', '"dT-_"', '"dT pw"', '"=="', '"Og"'],
].flatMap((value, index) =>
  index < 12 ? [value] : [`{"auth":${value}}`, `{"auth":"dTpw","email":${value}}`],
);
const oddEntries = [
  ...oddValues,
  '{"auth":"bm9jb2xvbg=="}',
  '{"auth":"/zr/"}',
  '{"auth":"dT\\u0070w"}',
  '{"auth":"dTpw\\n"}',
  '{"auth":3,"auth":"dTpw"}',
  '{"auth":"dTpw","AUTH":3}',
  '{"username":"a:b","password":"c"}',
  '{"username":"\\ud800","password":"\\u0000"}',
  '{"username":{"a":1},"password":2}',
  '{"identitytoken":"t"}',
  '{"auth":"dTo=","identitytoken":["t"]}',
];

/** A value so many levels deep. */
function nestings(min: number, max: number): fc.Arbitrary<string> {
  const ends = { '[': ']', '{"":': '}', '{"auth":[': ']}' } as const;
  return fc
    .tuple(fc.integer({ min, max }), fc.constantFrom(...(['[', '{"":', '{"auth":['] as const)))
    .map(([depth, open]) => `${open.repeat(depth)}1${ends[open].repeat(depth)}`);
}

const hugeStrings = fc
  .record({
    size: fc.integer({ min: 1, max: 5_000 }),
    letters: fc.constantFrom('A', 'dTpw', '=', 'ey', '\\n', 'é'),
  })
  .map(({ size, letters }) => `{"auth":"${letters.repeat(size)}"}`);

const oddKeys = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '*',
    '[',
    '@',
    'u:p@r.io',
    'https://u@r.io/v1/',
    'r.io:99999',
    '__proto__',
    'constructor',
  ),
  fc.constantFrom(
    '\u0000',
    '\u007f',
    '\ud800',
    '"',
    '\\',
    '/',
    '%zz',
    'r.io/%00',
    '🐳.io',
    `${'a.'.repeat(500)}io`,
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
);

/** A login as somebody gets it right: `auth`, padded or not, or the two fields. */
const goodLogins = fc.record({
  user: fc.stringMatching(/^[a-z]{1,8}$/),
  password: fc.string({ unit: 'grapheme', maxLength: 20 }),
  style: fc.constantFrom('auth', 'unpadded', 'fields'),
});

/** The entries of a document as JSON text by JSON text, and the logins that stand unharmed in it. */
const documents = fc
  .record({
    good: fc.dictionary(fc.stringMatching(/^[a-z]{1,6}\.io(:\d{1,5})?(\/[a-z]{1,5})?$/), goodLogins, {
      maxKeys: 5,
    }),
    odd: fc.array(
      fc.tuple(oddKeys, fc.oneof(fc.constantFrom(...oddEntries), nestings(1, 300), hugeStrings)),
      {
        maxLength: 4,
      },
    ),
    form: fc.constantFrom<DockerConfigForm>('dockerconfigjson', 'dockercfg'),
    auths: fc.constantFrom('auths', 'auths', 'Auths', 'aut\\u0068s'),
    others: fc.constantFrom(
      '',
      '',
      '"credsStore":3,',
      '"credHelpers":[],',
      '"credHelpers":{"h.io":{}},',
      '"":1e400,',
    ),
    order: fc.infiniteStream(fc.nat()),
  })
  .map(({ good, odd, form, auths, others, order }) => {
    const entries = [
      ...Object.entries(good).map(([registry, login]) => [JSON.stringify(registry), entryOf(login)] as const),
      ...odd.map(([registry, value]) => [JSON.stringify(registry), value] as const),
    ];
    const shuffled = entries
      .map(entry => ({ entry, at: order.next().value ?? 0 }))
      .sort((a, b) => a.at - b.at)
      .map(({ entry: [registry, value] }) => `${registry}:${value}`);
    const object = `{${shuffled.join(',')}}`;
    const logins = Object.entries(good).map(([registry, { user, password }]) => [
      registry,
      `${user}:${password}`,
    ]);
    return {
      form,
      bytes: Buffer.from(form === 'dockercfg' ? object : `{${others}"${auths}":${object}}`),
      good: Object.fromEntries(logins) as Readonly<Record<string, string>>,
    };
  });

type Login = { readonly user: string; readonly password: string; readonly style: string };

function entryOf({ user, password, style }: Login): string {
  if (style === 'fields') return JSON.stringify({ username: user, password });
  const auth = Buffer.from(`${user}:${password}`).toString('base64');
  return JSON.stringify({ auth: style === 'unpadded' ? auth.replace(/=+$/, '') : auth });
}

/** Damage to the bytes, at so many thousandths of the way. */
const damages = fc.array(
  fc.record({
    kind: fc.constantFrom('truncate', 'flip', 'remove', 'double', 'insert'),
    at: fc.noBias(fc.integer({ min: 0, max: 999 })),
    size: fc.integer({ min: 1, max: 40 }),
    bytes: fc.constantFrom(
      'ff',
      'c3',
      'eda080',
      '00',
      '1b',
      '22',
      '7b',
      'efbbbf',
      '2c',
      '5c7564383030',
      '3a7b7d2c',
    ),
    bit: fc.nat({ max: 7 }),
  }),
  { minLength: 1, maxLength: 3 },
);

type Damage = typeof damages extends fc.Arbitrary<readonly (infer One)[]> ? One : never;

function damage(bytes: Buffer, { kind, at, size, bytes: inserted, bit }: Damage): Buffer {
  const start = Math.floor((at / 1_000) * bytes.length);
  const [head, tail] = [bytes.subarray(0, start), bytes.subarray(start)];
  if (kind === 'truncate') return head;
  if (kind === 'remove') return Buffer.concat([head, tail.subarray(size)]);
  if (kind === 'double') return Buffer.concat([head, tail.subarray(0, size), tail]);
  if (kind === 'insert') return Buffer.concat([head, Buffer.from(inserted, 'hex'), tail]);
  const [first = 0, ...rest] = tail;
  return Buffer.concat([head, Buffer.from([first ^ (1 << bit), ...rest])]);
}

/**
 * Documents with entries that are odd, some of them with damage to their bytes or nested so deeply that a stack ends:
 * there nothing is sure to be unharmed.
 */
export const wildDocuments: fc.Arbitrary<WildDocument> = fc.oneof(
  { weight: 10, arbitrary: documents },
  {
    weight: 10,
    arbitrary: fc
      .tuple(documents, damages)
      .map(([document, all]) => ({ ...document, bytes: all.reduce(damage, document.bytes), good: {} })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(documents, nestings(1_000, 20_000)).map(([document, value]) => ({
      ...document,
      bytes: Buffer.from(document.bytes.toString().replace('{', `{"r.io":${value},`)),
      good: {},
    })),
  },
);
