import type { ServerResponse } from 'node:http';

/** Answers one request; `content` is what a good registry would send. */
export type Answer = (response: ServerResponse, content: Buffer) => void;

/** Refuses with an HTTP status, in a registry's words. */
export function status(code: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return response => {
    response.writeHead(code, { ...headers, 'content-type': 'application/json' });
    response.end(
      JSON.stringify({ errors: [{ code: errorCodes[code] ?? 'UNKNOWN', message: 'not\ntoday' }] }),
    );
  };
}

/** Refuses, and tells with what somebody came, as it is and in the clear. */
export const tattle: Answer = response => {
  const { authorization = '' } = response.req.headers;
  const login = Buffer.from(authorization.replace('Basic ', ''), 'base64').toString();
  response.writeHead(403, { 'content-type': 'application/json' });
  const message = `bad login ${login} in ${authorization}`;
  response.end(JSON.stringify({ errors: [{ code: 'DENIED', message }] }));
};

/** Of the OCI distribution specification, 1.1. */
const errorCodes: Readonly<Record<number, string>> = {
  401: 'UNAUTHORIZED',
  403: 'DENIED',
  404: 'NAME_UNKNOWN',
  429: 'TOOMANYREQUESTS',
};

/** Answers with a page of a proxy or a portal, as if it were the registry's. */
export function page(code: number): Answer {
  return response => {
    response.removeHeader('docker-content-digest');
    response.writeHead(code, { 'content-type': 'text/html' });
    response.end(`<html>\n<body><h1>${code}</h1>\nnot today</body>\n</html>\n`);
  };
}

/** Takes the request and closes the connection. */
export const hangUp: Answer = response => void response.destroy();

/** Takes the request and never says a word. */
export const silence: Answer = () => {};

/** Breaks the connection in the middle of the content. */
export const cutShort: Answer = (response, content) => {
  response.writeHead(200, { 'content-length': content.length });
  response.write(content.subarray(0, content.length / 2), () => response.destroy());
};

/** Sends as many bytes as there should be, but others. */
export const otherBytes: Answer = (response, content) => {
  response.setHeader('content-length', content.length);
  response.end(Buffer.alloc(content.length, 'x'));
};

/** Sends others, and does not say beforehand how many. */
export const unsized: Answer = (response, content) => {
  response.write(Buffer.alloc(content.length, 'x'));
  response.end();
};

/** Sends so many bytes ten times a second. */
export function trickle(bytes: number): Answer {
  return (response, content) => {
    response.writeHead(200, { 'content-length': content.length });
    let sent = 0;
    const timer = setInterval(() => {
      response.write(content.subarray(sent, sent + bytes));
      sent += bytes;
    }, 100);
    response.once('close', () => clearInterval(timer));
  };
}

/** Sends what is asked for. */
export const good: Answer = (response, content) => {
  response.setHeader('content-length', content.length);
  response.end(content);
};
