import { join, resolve } from 'node:path';

/** The directory of the project. */
export const project = join(import.meta.dirname, '../..');

const chosen = process.env.SANDBOX_DIR || undefined;

/** Where `npm start` has its sandbox: SANDBOX_DIR from the environment, or `.sandbox` in the project. */
export const sandboxDirectory = resolve(chosen ?? join(project, '.sandbox'));

/** What a person must put before `npm run try` to reach this sandbox; empty for the one in the project. */
export const tryPrefix = chosen === undefined ? '' : `SANDBOX_DIR=${sandboxDirectory} `;
