/** The version of the agent; a test holds it against package.json and the manifests. */
export const version = '0.1.0';
