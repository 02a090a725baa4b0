/**
 * A leg is one way through the test files: on which WebGPU implementation, with which kernels.
 *
 * @module
 */
import { countCases, type Counts, runDeno, type Tally } from "./tally.ts";

/** One way through the tests. */
export interface Leg {
  readonly name: string;
  readonly backend: "deno" | "dawn";
  readonly kernels: "auto" | "naive";
  /** Only the files that open a device through `openTestGpu()` or `openCommandGpu()`: the others would not differ, or are of whole methods. */
  readonly gpuOnly: boolean;
  /** Only the files whose path matches. */
  readonly paths?: RegExp;
  readonly env?: Readonly<Record<string, string>>;
}

/** A file with tests. */
export interface TestFile {
  /** Relative to the repository root. */
  readonly path: string;
  readonly usesGpu: boolean;
  /** Whether it is of commands, which open a device of their own with all kernels. */
  readonly isOfCommands: boolean;
}

/** What to run of a leg. */
export interface LegOptions {
  readonly filter?: string;
  readonly large?: boolean;
  readonly showOutput?: boolean;
}

/** Files that take a minute or more on some leg: begun first, lest the others wait for one of them at the end. */
const LONGEST = /^tests\/(kernels_test|pipelines\/(study_|phantom_study|dense_paper|vwam_phantom))/;

const FILE_TIMEOUT = 1200; // seconds; a hung shader never ends by itself

/** Every `*_test.ts` under `tests/`, by path. */
export async function listTestFiles(folder = "tests"): Promise<TestFile[]> {
  const files: TestFile[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) files.push(...await listTestFiles(path));
    else if (entry.name.endsWith("_test.ts")) {
      const text = await Deno.readTextFile(path);
      const isOfCommands = /\bopenCommandGpu\b/.test(text);
      const usesGpu = isOfCommands || /\bopenTestGpu\b/.test(text);
      files.push({ path, usesGpu, isOfCommands });
    }
  }
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** Runs the files of a leg, as many at once as there are cores, and prints a line for each. */
export async function runLeg(
  leg: Leg,
  files: readonly TestFile[],
  options: LegOptions,
  tally: Tally,
): Promise<void> {
  const { filter } = options;
  const byPath = files.filter((file) => filter !== undefined && file.path.includes(filter));
  // A filter that names a file runs all of it; any other is a part of test names.
  const nameFilter = byPath.length > 0 ? undefined : filter;
  const chosen = (byPath.length > 0 ? byPath : files).filter((f) =>
    (f.usesGpu || !leg.gpuOnly) && !(f.isOfCommands && leg.kernels === "naive") &&
    (leg.paths?.test(f.path) ?? true)
  );
  if (chosen.length === 0) return;
  console.log(`\n${leg.name}: ${chosen.length} test files`);
  const queue = [true, false].flatMap((isLong) =>
    chosen.filter(({ path }) => LONGEST.test(path) === isLong)
  );
  const workers = Math.max(1, Math.min(4, navigator.hardwareConcurrency, queue.length));
  const work = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      await runFile(leg, file, { ...options, filter: nameFilter }, tally);
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
}

async function runFile(
  leg: Leg,
  file: TestFile,
  options: LegOptions,
  tally: Tally,
): Promise<void> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const { code, output, seconds } = await runDeno(testArguments(leg, file, options, report), {
      env: {
        ...leg.env,
        GYRUS_TEST_BACKEND: leg.backend,
        GYRUS_TEST_KERNELS: leg.kernels,
        GYRUS_TEST_LARGE: options.large ? "1" : "",
      },
      timeoutSeconds: FILE_TIMEOUT,
    });
    const counts = settle(code, countCases(await Deno.readTextFile(report)));
    if (options.filter !== undefined && counts.passed + counts.failed === 0) return;
    tally.passed += counts.passed;
    tally.failed += counts.failed;
    tally.ignored += counts.ignored;
    tally.seconds.set(`${file.path} (${leg.name})`, seconds);
    const held = counts.failed === 0;
    const skipped = counts.ignored > 0 ? `, ${counts.ignored} ignored` : "";
    console.log(
      `${held ? "ok  " : "FAIL"}  ${file.path}  ${counts.passed} passed${skipped}` +
        `${held ? "" : `, ${counts.failed} failed`}  ${seconds.toFixed(1)} s`,
    );
    if (!held || options.showOutput) console.log(output.trimEnd());
  } finally {
    await Deno.remove(report);
  }
}

/** A process that failed without a failed test (a crash, a broken import) is one failure. */
function settle(code: number, counts: Counts): Counts {
  if (code === 0 || counts.failed > 0) return counts;
  return { ...counts, failed: 1 };
}

function testArguments(leg: Leg, file: TestFile, options: LegOptions, report: string): string[] {
  const dawn = leg.backend === "dawn" ? ["--allow-ffi", "--lock=engine/dawn.lock"] : [];
  const filter = options.filter === undefined ? [] : [`--filter=${options.filter}`];
  return [
    "test",
    "--quiet",
    "--no-check", // the gate "types" has checked everything
    "--cached-only",
    "--frozen",
    "--allow-read",
    "--allow-write",
    "--allow-env",
    "--allow-run",
    "--permit-no-files",
    ...dawn,
    ...filter,
    `--junit-path=${report}`,
    file.path,
  ];
}
