import { Writable } from 'node:stream';
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type { Logger } from 'pino';

/** How the log is written. */
export type LogOptions = {
  readonly level: string;
  /** `auto` is `pretty` where `terminal` is true and `json` elsewhere. */
  readonly format: 'auto' | 'json' | 'pretty';
  readonly terminal: boolean;
  /** Takes whole lines for the terminal; used by the pretty format only. */
  readonly writeLine: (line: string) => void;
};

/** Makes the agent's logger. Both formats write at once, so that nothing is lost when the process ends. */
export function createLog({ level, format, terminal, writeLine }: LogOptions): Logger {
  const options = { level, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` };
  if (format === 'json' || (format === 'auto' && !terminal)) return pino(options, jsonLines());
  const lines = new Writable({
    write(chunk, _encoding, done) {
      writeLine(String(chunk));
      done();
    },
  });
  // As a stream in this process: pino's worker threads could not be bundled, and lose lines at exit.
  return pino(
    options,
    pretty({
      destination: lines,
      colorize: terminal,
      translateTime: 'HH:MM:ss',
      ignore: 'component',
      singleLine: true,
    }),
  );
}

/** Standard output at once. A line that cannot be written (a full disk, a reader that left) is lost, and nothing else. */
function jsonLines(): DestinationStream {
  const output = destination({ fd: 1, sync: true });
  output.on('error', () => {
    // There is nowhere left to tell it.
  });
  return {
    write(line) {
      try {
        output.write(line);
      } catch {
        // The same, from a write that failed at once.
      }
    },
  };
}
