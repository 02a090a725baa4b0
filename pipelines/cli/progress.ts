/** Where a long call stands; what `onProgress` callbacks receive. */
export interface ProgressEvent {
  /** What is being done, one or two words. */
  readonly stage: string;
  /** How much of it is done. */
  readonly done: number;
  /** How much there is. */
  readonly total: number;
}

/** What `Progress` needs of the outside, so that tests can stand in for a terminal and a clock. */
export interface ProgressOptions {
  /** Say nothing at all. */
  readonly silent?: boolean;
  /** Redraw one line instead of printing new ones. */
  readonly terminal?: boolean;
  /** Where the text goes. Default: stderr. */
  readonly write?: (text: string) => void;
  /** Milliseconds since any fixed moment. */
  readonly now?: () => number;
}

const BAR_WIDTH = 24;
const REDRAW_MS = 100; // a terminal needs no more, and a log file far less
const LINE_MS = 10_000;

/** Shows where a command stands: a bar with the time left on a terminal, plain lines elsewhere. */
export class Progress {
  readonly #terminal: boolean;
  readonly #silent: boolean;
  readonly #write: (text: string) => void;
  readonly #now: () => number;
  #stage = "";
  #started = 0;
  #shown = -Infinity;
  #open = false;

  constructor(options: ProgressOptions = {}) {
    this.#silent = options.silent ?? false;
    this.#terminal = options.terminal ?? Deno.stderr.isTerminal();
    this.#write = options.write ?? writeStderr;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Shows one event; to be handed over as `onProgress`. */
  readonly update = (event: ProgressEvent): void => {
    if (this.#silent) return;
    const now = this.#now();
    const { stage, done, total } = event;
    if (stage !== this.#stage) {
      this.end();
      this.#stage = stage;
      this.#started = now;
      this.#shown = -Infinity;
    }
    const complete = done >= total;
    if (!complete && now - this.#shown < (this.#terminal ? REDRAW_MS : LINE_MS)) return;
    this.#shown = now;
    const seconds = (now - this.#started) / 1000;
    const time = complete
      ? formatSeconds(seconds)
      : done > 0
      ? `${formatSeconds(seconds * (total - done) / done)} left`
      : "";
    if (this.#terminal) {
      const filled = total > 0 ? Math.round(BAR_WIDTH * Math.min(1, done / total)) : BAR_WIDTH;
      const bar = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
      this.#write(`\r\x1b[K${stage.padEnd(14)} ${bar} ${done}/${total}  ${time}`);
      this.#open = true;
      if (complete) this.end();
    } else {
      this.#write(`${stage} ${done}/${total}${time === "" ? "" : `  ${time}`}\n`);
    }
  };

  /** Prints a line of text without breaking the bar. */
  log(line: string): void {
    if (this.#silent) return;
    this.end();
    this.#write(`${line}\n`);
  }

  /** Leaves the bar's line, if one is open. */
  end(): void {
    if (this.#open) this.#write("\n");
    this.#open = false;
  }
}

/** Seconds as people read them: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function writeStderr(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
}
