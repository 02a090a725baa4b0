/** What has been counted so far. */
export interface Tally {
  /** Gates and tests that held. */
  passed: number;
  /** Gates and tests that did not, files that crashed included. */
  failed: number;
  /** Tests that said why they could not run here. */
  ignored: number;
  /** Wall time of each test file in each leg. */
  readonly seconds: Map<string, number>;
}

/** What a finished child process left. */
export interface Finished {
  readonly code: number;
  /** stdout and stderr together. */
  readonly output: string;
  readonly seconds: number;
}

/** Settings of one child process. */
export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutSeconds?: number;
}

/**
 * Runs this Deno with other arguments and waits for it.
 *
 * @param args arguments, without the executable
 */
export async function runDeno(args: string[], options: ChildOptions = {}): Promise<Finished> {
  const start = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1", ...options.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, (options.timeoutSeconds ?? 900) * 1000);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const decoder = new TextDecoder();
  const note = late ? `\nStopped after ${options.timeoutSeconds ?? 900} s.\n` : "";
  return {
    code: late ? 124 : code,
    output: decoder.decode(stdout) + decoder.decode(stderr) + note,
    seconds: (performance.now() - start) / 1000,
  };
}

/** The path of a file URL on this system. */
export function fromFileUrl(url: URL): string {
  const path = decodeURIComponent(url.pathname);
  return Deno.build.os === "windows" ? path.slice(1) : path;
}

/** The last line that says something, where Deno appends a stack of nothing. */
export function lastLine(output: string): string {
  const lines = output.split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "" && !/^(Stack backtrace|\d+: <unknown>)/.test(line)).at(
    -1,
  ) ??
    "no message";
}

/** Counts of one JUnit report. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly ignored: number;
}

/**
 * Counts the test cases of a JUnit report.
 *
 * @param xml the text that `deno test --junit-path` wrote
 */
export function countCases(xml: string): Counts {
  let [passed, failed, ignored] = [0, 0, 0];
  for (const [, selfClosed, body = ""] of xml.matchAll(CASE)) {
    if (selfClosed === "/") passed++;
    else if (/<(failure|error)\b/.test(body)) failed++;
    else if (/<skipped\b/.test(body)) ignored++;
    else passed++;
  }
  return { passed, failed, ignored };
}

/** Attribute values are escaped in XML, so `>` ends the tag. */
const CASE = /<testcase\b[^>]*?(\/)?>(?:(?<!\/>)([\s\S]*?)<\/testcase>)?/g;
