import assert from "node:assert/strict";
import { hostArray, hostTensor } from "../../pipelines/io/state_dict.ts";
import { resumeSteps, type StepArrays, StepLog } from "../../pipelines/io/step_log.ts";
import { TestFolder } from "./io_fixtures.ts";

const facts = { model: "abc", images: [1, 2], options: { dense: "naclip" } };

function step(i: number): StepArrays {
  return new Map([
    ["/dense", hostTensor(Uint16Array.of(i, 7), [1, 2], { dtype: "f16" })],
    ["/cls", hostTensor(Float32Array.of(i + 0.5), [1, 1])],
    ["/none", hostTensor(new Float32Array(0), [0, 3])],
  ]);
}

/** Runs steps 0 to 4, of which those that are computed go into `computed`. */
async function run(log: StepLog | undefined, computed: number[]): Promise<StepArrays[]> {
  async function* rest(first: number) {
    for (let i = first; i < 5; i++) {
      computed.push(i);
      yield await Promise.resolve(step(i));
    }
  }
  const all: StepArrays[] = [];
  for await (const arrays of resumeSteps(log, rest)) all.push(arrays);
  return all;
}

function plain(all: readonly StepArrays[]): unknown {
  return all.map((arrays) =>
    [...arrays].map(([name, t]) => [name, t.dtype, t.shape, hostArray(t)])
  );
}

Deno.test("resumeSteps() gives the same steps in the same order, wherever the log was cut", async () => {
  using folder = new TestFolder();
  const path = folder.at("steps.log");
  const expected = plain([0, 1, 2, 3, 4].map(step));
  assert.deepEqual(plain(await run(undefined, [])), expected);
  {
    using log = new StepLog(path, facts);
    assert.deepEqual(plain(await run(log, [])), expected);
    assert.equal(log.size, 5);
  }
  const whole = Deno.readFileSync(path);
  const kept = new Set<number>();
  for (let size = 0; size <= whole.length; size += 7) {
    Deno.writeFileSync(path, whole.subarray(0, size));
    const computed: number[] = [];
    {
      using log = new StepLog(path, facts);
      kept.add(log.size);
      assert.deepEqual(plain(await run(log, computed)), expected, `cut at ${size}`);
    }
    assert.equal(computed.length, 5 - (computed[0] ?? 5));
    assert.deepEqual(Deno.readFileSync(path), whole, `cut at ${size}`);
  }
  assert.ok(kept.size >= 5, `${[...kept]}`);
});

Deno.test("StepLog refuses the log of another run and says what is another", () => {
  using folder = new TestFolder();
  const path = folder.at("steps.log");
  new StepLog(path, facts)[Symbol.dispose]();
  const before = Deno.readFileSync(path);
  const cases: [object, RegExp][] = [
    [{ model: "abd" }, /steps\.log": it belongs to a run with another model; remove it/],
    [{ images: [1, 2, 3], options: {} }, /with another images and options;/],
  ];
  for (const [change, message] of cases) {
    const open = () => new StepLog(path, { ...facts, ...change });
    assert.throws(open, { name: "InputError", message });
  }
  assert.deepEqual(Deno.readFileSync(path), before);
});
