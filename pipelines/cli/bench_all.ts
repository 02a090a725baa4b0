import { Command } from "commander";
import { InputError } from "../errors.ts";
import { runRecord } from "../run_record.ts";
import { addGlobalOptions, type GlobalOptions } from "./options.ts";
import { beginOutput, RUN_RECORD } from "./output.ts";

/** Every bench, the short ones first, so that a machine that is lent for minutes gives the most. */
export const BENCHES: Readonly<Record<string, readonly string[]>> = {
  host: ["host"],
  kernels: ["--variants"],
  ratios: ["--ratios"],
  inception: ["inception"],
  unet: ["unet", "--ops", "--fusions"],
  dense: ["dense"],
  ridge: ["ridge"],
  ncut: ["ncut"],
};

/**
 * Runs every bench with its defaults, one after another; one that fails is noted and the others go on. A folder takes the JSON lines of
 * each: `host.jsonl`, `kernels.jsonl`, ….
 *
 * @param register adds the command `bench` to a program
 * @throws {InputError} when every bench fails
 */
export async function benchAll(
  register: (program: Command) => void,
  { json, seed, adapter, backend, out, tuning }: GlobalOptions,
  benches: Readonly<Record<string, readonly string[]>> = BENCHES,
): Promise<void> {
  const started = new Date();
  const output = beginOutput(out, { kind: "folder" });
  const shared = [
    ...json ? ["--json"] : [],
    ...["--seed", `${seed}`, "--backend", backend],
    ...adapter === undefined ? [] : ["--adapter", adapter],
    ...tuning === undefined ? [] : ["--tuning", tuning],
  ];
  const failures: Record<string, string> = {};
  for (const [name, args] of Object.entries(benches)) {
    if (!json) console.log(`\n== ${name}`);
    const program = new Command("gyrus").exitOverride();
    addGlobalOptions(program);
    register(program);
    const file = ["--out", `${output.partial}/${name}.jsonl`];
    try {
      await program.parseAsync(["bench", ...args, ...shared, ...file], { from: "user" });
    } catch (error) {
      failures[name] = error instanceof Error ? error.message : `${error}`;
      console.error(`${name} failed: ${failures[name]}`);
    }
  }
  if (Object.keys(failures).length === Object.keys(benches).length) {
    throw new InputError(`Cannot bench: every part failed, ${Object.values(failures)[0]}`);
  }
  const record = runRecord({
    command: "bench --all",
    options: { seed, adapter, backend, tuning },
    inputs: {},
    started,
    results: { failures },
  });
  Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  output.commit();
}
