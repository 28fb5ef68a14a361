/** A registry key, as it stands in a docker config, and its credential. */
export type RegistryLogin = { readonly registry: string; readonly user: string; readonly password: string };

/** The content of a `.dockerconfigjson` key, as `kubectl create secret docker-registry` writes it. */
export function dockerConfigJson(...logins: readonly RegistryLogin[]): string {
  return JSON.stringify({
    auths: Object.fromEntries(
      logins.map(({ registry, user, password }) => [
        registry,
        { username: user, password, auth: Buffer.from(`${user}:${password}`).toString('base64') },
      ]),
    ),
  });
}
