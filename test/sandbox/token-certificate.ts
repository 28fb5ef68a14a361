import { execFile } from 'node:child_process';
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What tokens are signed with, and what the registry checks them against. */
export type TokenSigner = {
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
  readonly certificateFile: string;
};

/** The key and self-signed certificate in `directory`; made with openssl if they are not there. */
export async function signingCertificate(directory: string): Promise<TokenSigner> {
  const [keyFile, certificateFile] = [join(directory, 'token.key'), join(directory, 'token.crt')];
  try {
    return await readSigner(keyFile, certificateFile);
  } catch {
    // Not there yet, or half-written by a sandbox that was killed.
  }
  await mkdir(directory, { recursive: true });
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '3650'];
  const output = ['-keyout', keyFile, '-out', `${certificateFile}.new`];
  await run('openssl', ['req', '-x509', ...kind, '-subj', '/CN=sandbox-token-service', ...output]);
  await rename(`${certificateFile}.new`, certificateFile);
  return await readSigner(keyFile, certificateFile);
}

async function readSigner(keyFile: string, certificateFile: string): Promise<TokenSigner> {
  const key = createPrivateKey(await readFile(keyFile));
  const certificate = new X509Certificate(await readFile(certificateFile));
  if (!certificate.checkPrivateKey(key)) throw new Error(`${keyFile} is not the key of ${certificateFile}`);
  return { key, certificate, certificateFile };
}
