import { SecretText } from '../../agent/base/secret-text.ts';

/** A JSON Web Token with these claims; nobody checks who signed it. */
export function webToken(claims: object): SecretText {
  const parts = [{ alg: 'ES256' }, claims].map(part =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  return new SecretText(`${parts.join('.')}.c2lnbmF0dXJl`);
}

/** A password as Amazon's ECR gives it, with its end in seconds since 1970. */
export function ecrToken(expiration: number): SecretText {
  const token = { payload: 'cGF5bG9hZA==', datakey: 'a2V5', version: '2', type: 'DATA_KEY', expiration };
  return new SecretText(Buffer.from(JSON.stringify(token)).toString('base64'));
}
