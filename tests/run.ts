/**
 * `./gyrus test` and `./gyrus check`: every gate, then every test file in a process of its own (one
 * GPU device per process, and a crash costs one file), and a closing line `N passed, N failed`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { fromFileUrl, type Tally } from "./runner/tally.ts";
import { gates, runGate } from "./runner/gates.ts";
import { type Leg, listTestFiles, runLeg } from "./runner/legs.ts";
import { findDawn } from "./runner/dawn.ts";

const USAGE = `Usage: gyrus test [options]

  --filter NAME   only test files or test names that contain NAME; no gates
  --naive         only the leg with every optimisation off
  --backend NAME  only the leg on this WebGPU implementation: deno or dawn
  --large         real-size cases too
  --with-dawn     Dawn could not be tried: count that as a failure
`;

/** What one call of the runner was asked for. */
interface Options {
  readonly filter?: string;
  readonly naive: boolean;
  readonly backend?: string;
  readonly large: boolean;
  readonly withDawn: boolean;
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      filter: { type: "string" },
      naive: { type: "boolean", default: false },
      backend: { type: "string" },
      large: { type: "boolean", default: false },
      "with-dawn": { type: "boolean", default: false },
    },
  });
  if (values.backend !== undefined && !["deno", "dawn"].includes(values.backend)) {
    throw new TypeError(`Unknown backend: --backend is deno or dawn, got ${values.backend}`);
  }
  return { ...values, withDawn: values["with-dawn"] };
}

/** The legs of a run: the default one, the same GPU tests with naive kernels, and on Dawn. */
async function chooseLegs(options: Options, tally: Tally): Promise<Leg[]> {
  const one = options.naive || options.backend !== undefined;
  const legs: Leg[] = [];
  if (!one || (options.backend === "deno" && !options.naive)) {
    legs.push({ name: "default", backend: "deno", kernels: "auto", gpuOnly: false });
  }
  if (!one || (options.naive && options.backend !== "dawn")) {
    legs.push({ name: "naive kernels", backend: "deno", kernels: "naive", gpuOnly: true });
  }
  if ((one && options.backend === "dawn") || (!one && options.filter === undefined)) {
    const dawn = await findDawn();
    if ("skipped" in dawn) {
      console.log(`\nskip  Dawn: ${dawn.skipped}`);
      if (options.withDawn || options.backend === "dawn") tally.failed++;
    } else {
      // On a software driver Dawn's shaders take some ten times longer to translate, and its event loop competes with them for
      // the cores. So unless Dawn is asked for, its leg compiles every kernel, which is what Dawn judges best, and runs the engine's
      // own tests with the simplest kernels.
      const asked = one || options.withDawn;
      const kernels = asked && !options.naive ? "auto" : "naive";
      const paths = asked ? undefined : /compile_test|engine_test|optim_test/;
      legs.push({ name: "Dawn", backend: "dawn", kernels, gpuOnly: true, paths, env: dawn.env });
    }
  }
  return legs;
}

/** Times are reported, never judged: the machine may be busy with something else. */
function reportTimes(tally: Tally): void {
  const slow = [...tally.seconds].sort((a, b) => b[1] - a[1]).slice(0, 8);
  const total = [...tally.seconds.values()].reduce((sum, value) => sum + value, 0);
  console.log(`\nTest files: ${tally.seconds.size}, ${total.toFixed(0)} s together; the slowest:`);
  for (const [name, seconds] of slow) {
    console.log(`  ${seconds.toFixed(1).padStart(6)} s  ${name}`);
  }
}

async function main(args: string[]): Promise<number> {
  const [verb = "test", ...rest] = args;
  if (rest.includes("--help") || rest.includes("-h")) {
    console.log(USAGE);
    return 0;
  }
  const options = readOptions(rest);
  const tally: Tally = { passed: 0, failed: 0, ignored: 0, seconds: new Map() };
  const start = performance.now();
  if (verb === "check" || options.filter === undefined) {
    for (const gate of gates) await runGate(gate, tally);
  }
  if (verb === "check") {
    const only = { filter: "architecture_test", large: false, showOutput: true };
    const leg: Leg = { name: "architecture", backend: "deno", kernels: "auto", gpuOnly: false };
    await runLeg(leg, await listTestFiles(), only, tally);
  } else {
    const files = await listTestFiles();
    for (const leg of await chooseLegs(options, tally)) await runLeg(leg, files, options, tally);
    reportTimes(tally);
  }
  console.log(`Finished in ${((performance.now() - start) / 1000).toFixed(0)} s.`);
  if (tally.ignored > 0) console.log(`${tally.ignored} ignored`);
  console.log(`${tally.passed} passed, ${tally.failed} failed`);
  return tally.failed > 0 || tally.passed === 0 ? 1 : 0;
}

Deno.chdir(fromFileUrl(new URL("..", import.meta.url)));
try {
  Deno.exit(await main(Deno.args));
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(`gyrus: ${error.message}`); // an unknown option, worded by parseArgs
  Deno.exit(2);
}
