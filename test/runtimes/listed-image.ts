import { createHash } from 'node:crypto';

/** An image as containerd lists it: a name with its tag, one with its digest, an id. */
export function listedImage(number: number) {
  const digest = (of: string) => `sha256:${createHash('sha256').update(`${of} ${number}`).digest('hex')}`;
  const repository = `registry.example.com/platform/team-${number % 40}/service-${number}`;
  return {
    id: digest('config'),
    repoTags: [`${repository}:v1.${number}.0`],
    repoDigests: [`${repository}@${digest('manifest')}`],
    size: BigInt(100_000_000 + number),
    spec: { image: digest('config') },
  };
}
