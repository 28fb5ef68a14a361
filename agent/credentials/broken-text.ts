/**
 * Takes our entries out of a text that is no docker config any more, such as one to which somebody appended: each
 * value that `isOurs`, given as raw JSON, knows again becomes `{}`, and all else stays as it is.
 */
export function withoutOurs(text: string, isOurs: (rawValue: string) => boolean): string {
  // The values that we write have no objects in them.
  return text.replace(/\{[^{}]*\}/g, value => (isOurs(value) ? '{}' : value));
}
