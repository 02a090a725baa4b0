/**
 * The libraries that people have these models from, run on tiny random networks with their own key names: `tests/golden/vit`. Each
 * file holds the weights as the library saves them, its configuration, inputs, and what the library computes in float64.
 */
import assert from "node:assert/strict";
import { sum } from "../../engine/ops/reduce.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { parseSafetensorsHeader, safetensorsHeaderLength } from "../../pipelines/io/safetensors.ts";
import { readSafetensors } from "../../pipelines/io/safetensors.ts";
import { hostArray, type StateDict, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { type ForwardOptions, loadVit, type VisionModel } from "../../pipelines/models/model.ts";
import { openTestGpu } from "../_gpu.ts";
import { assertTensor, TOLERANCE } from "./vit_oracle.ts";

/** Gradients add up the rounding of the way there and back; PyTorch's own float32 is at 3e-6 on networks of this depth. */
const GRADIENT_TOLERANCE = 2 * TOLERANCE;

const folder = new URL("../golden/vit/", import.meta.url);

/** One input of a file. */
interface Run {
  readonly tag: string;
  readonly options: ForwardOptions;
  readonly names: readonly string[];
  readonly grad?: boolean;
}

/** A file of the folder. */
interface LibraryModel {
  readonly tensors: StateDict;
  readonly weights: StateDict;
  readonly config: Record<string, unknown>;
  readonly runs: readonly Run[];
}

function readLibraryModel(name: string): LibraryModel {
  const bytes = Deno.readFileSync(new URL(name, folder));
  const length = safetensorsHeaderLength(bytes.subarray(0, 8), bytes.length, name);
  const header = bytes.subarray(8, 8 + length);
  const { metadata } = parseSafetensorsHeader(header, bytes.length, name);
  const tensors = readSafetensors(bytes);
  const weights = [...tensors].filter(([key]) => key.startsWith("weights/"));
  return {
    tensors,
    weights: new Map(weights.map(([key, tensor]) => [key.slice("weights/".length), tensor])),
    config: JSON.parse(metadata.config),
    runs: JSON.parse(metadata.runs),
  };
}

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

function upload({ tensors }: LibraryModel, name: string): Tensor {
  const tensor = tensors.get(name)!;
  return Tensor.from(gpu, toFloat32(tensor), tensor.shape);
}

/** Compares every activation of the file, the image embedding among them. */
async function checkRun(model: VisionModel, file: LibraryModel, run: Run): Promise<void> {
  using pixels = upload(file, `in/${run.tag}`);
  const capture = run.names.filter((name) => name !== "output");
  using held = new DisposableStack();
  const { output, captured } = model.forward(pixels, { ...run.options, capture });
  for (const tensor of [output, ...captured.values()]) held.use(tensor);
  for (const name of run.names) {
    const got = name === "output" ? output : captured.get(name)!;
    const want = file.tensors.get(`out/${run.tag}/${name}`)!;
    assert.deepEqual(got.shape, want.shape, name);
    await assertTensor(got, toFloat32(want), `${run.tag} ${name}`);
  }
}

/** Compares the gradient of the readout `sum(output · readout)` by the pixels. */
async function checkGradient(model: VisionModel, file: LibraryModel, run: Run): Promise<void> {
  using pixels = upload(file, `in/${run.tag}`);
  using readout = upload(file, `readout/${run.tag}`);
  using tape = new Tape();
  using watched = tape.watch(pixels);
  using gradient = tidy(gpu, () => {
    const loss = sum(mul(model.forward(watched, run.options).output, readout));
    return tape.gradient(loss, [watched])[0];
  });
  const want = toFloat32(file.tensors.get(`grad/${run.tag}`)!);
  await assertTensor(gradient, want, `${run.tag} gradient`, GRADIENT_TOLERANCE);
}

async function checkText(model: VisionModel, { tensors }: LibraryModel): Promise<void> {
  const ids = tensors.get("text/ids")!;
  const [rows, length] = ids.shape;
  const values = Array.from(hostArray(ids), Number);
  const tokens = Array.from(
    { length: rows },
    (_, i) => values.slice(i * length, (i + 1) * length),
  );
  const wanted = [...tensors].filter(([key]) => key.startsWith("text/out/"))
    .map(([key, tensor]) => [key.slice("text/out/".length), toFloat32(tensor)] as const);
  const capture = wanted.map(([name]) => name).filter((name) => name !== "output");
  using held = new DisposableStack();
  const { output, captured } = model.forwardText(tokens, { capture });
  for (const tensor of [output, ...captured.values()]) held.use(tensor);
  for (const [name, want] of wanted) {
    await assertTensor(name === "output" ? output : captured.get(name)!, want, `text ${name}`);
  }
  using alone = model.encodeText(tokens); // without captures the rows are cut
  await assertTensor(alone, wanted.find(([name]) => name === "output")![1], "text");
}

const files = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

for (const name of files) {
  Deno.test(`loadVit() computes what the library computes: ${name}`, async () => {
    const file = readLibraryModel(name);
    using model = await loadVit(gpu, file.weights, file.config);
    for (const run of file.runs) {
      await checkRun(model, file, run);
      if (run.grad) await checkGradient(model, file, run);
    }
    if (file.tensors.has("text/ids")) await checkText(model, file);
  });
}

Deno.test("loadVit() is compared with every library", () => {
  assert.equal(files.length, 19);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
