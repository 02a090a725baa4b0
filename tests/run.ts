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
import { findSwiftShader, tryDriver } from "./runner/swiftshader.ts";

const USAGE = `Usage: gyrus test [options]

  --filter NAME   only test files or test names that contain NAME; no gates
  --naive         only the leg with every optimisation off
  --backend NAME  only the leg on this WebGPU implementation: deno or dawn
  --large         real-size cases too
  --driver FILE   only a leg on the Vulkan driver of this ICD file
  --with-dawn     all of Dawn's leg, and a failure where Dawn cannot be tried
  --with-swiftshader  the same for SwiftShader, the software driver of Chromium
`;

/** What a leg runs that is not asked for: every kernel, every gradient, the engine's own tests. */
const SMALL = /^tests\/(kernels|gradients|compile)_test|^tests\/engine\//;

/** The same without decompositions and products of many sizes, whose kernels are those of the others. */
const VALIDATED =
  /^tests\/(kernels|gradients|compile)_test|^tests\/engine\/(?!eigh|gram|fused_ops|matmul)/;

/** What one call of the runner was asked for. */
interface Options {
  readonly filter?: string;
  readonly naive: boolean;
  readonly backend?: string;
  readonly large: boolean;
  readonly driver?: string;
  readonly withDawn: boolean;
  readonly withSwiftShader: boolean;
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      filter: { type: "string" },
      naive: { type: "boolean", default: false },
      backend: { type: "string" },
      large: { type: "boolean", default: false },
      driver: { type: "string" },
      "with-dawn": { type: "boolean", default: false },
      "with-swiftshader": { type: "boolean", default: false },
    },
  });
  if (values.backend !== undefined && !["deno", "dawn"].includes(values.backend)) {
    throw new TypeError(`Unknown backend: --backend is deno or dawn, got ${values.backend}`);
  }
  if (values.backend === "dawn" && values.driver !== undefined) {
    throw new TypeError("Cannot choose both: --driver is for Deno's own WebGPU, --backend is dawn");
  }
  return {
    ...values,
    withDawn: values["with-dawn"],
    withSwiftShader: values["with-swiftshader"],
  };
}

/** The legs of a run: the default one, the same GPU tests with naive kernels, on SwiftShader, on Dawn. */
async function chooseLegs(options: Options, tally: Tally): Promise<Leg[]> {
  const { naive, backend, driver } = options;
  const kernels = naive ? "naive" : "auto";
  const skip = (name: string, reason: string, wanted: boolean): Leg[] => {
    console.log(`\nskip  ${name}: ${reason}`);
    if (wanted) tally.failed++;
    return [];
  };
  const onDriver = async (): Promise<Leg[]> => {
    const found = driver === undefined ? await findSwiftShader() : await tryDriver(driver);
    const wanted = driver !== undefined || options.withSwiftShader;
    if ("skipped" in found) return skip(driver ?? "SwiftShader", found.skipped, wanted);
    const name = driver === undefined ? "SwiftShader" : found.adapter;
    const paths = wanted ? undefined : SMALL;
    return [{ name, backend: "deno", kernels, gpuOnly: true, paths, env: found.env }];
  };
  const onDawn = async (): Promise<Leg[]> => {
    const dawn = await findDawn();
    const wanted = backend === "dawn" || options.withDawn;
    if ("skipped" in dawn) return skip("Dawn", dawn.skipped, wanted);
    const paths = wanted ? undefined : VALIDATED; // Mesa translates the rest for minutes, the first time
    return [{ name: "Dawn", backend: "dawn", kernels, gpuOnly: true, paths, env: dawn.env }];
  };
  const everything: Leg = { name: "default", backend: "deno", kernels: "auto", gpuOnly: false };
  const plain: Leg = { name: "naive kernels", backend: "deno", kernels: "naive", gpuOnly: true };
  if (driver !== undefined) return await onDriver();
  if (backend === "dawn") return await onDawn();
  if (naive) return [plain];
  if (backend === "deno") return [everything];
  if (options.filter !== undefined && !options.withDawn && !options.withSwiftShader) {
    return [everything, plain];
  }
  return [everything, plain, ...await onDriver(), ...await onDawn()];
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
