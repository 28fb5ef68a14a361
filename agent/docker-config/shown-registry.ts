/** What stands before an `@` in the URL of a registry could be a password, and names are shown. */
const userInfo = /^([A-Za-z][A-Za-z0-9+.-]*:\/\/)?[^/?#]*@/;

/** Whether a registry key holds a user name or password. */
export function hasUser(registry: string): boolean {
  return userInfo.test(registry);
}

/** A registry key without what could be a password, to be shown. */
export function withoutUser(registry: string): string {
  return registry.replace(userInfo, '$1');
}

/** A registry key in quotes, on one line and without what could be a password, for a sentence. */
export function showRegistry(registry: string): string {
  return JSON.stringify(withoutUser(registry));
}
