/**
 * `gyrus effects` on folders as `gyrus steer` writes them, of which the truth is known.
 *
 * @module
 */
import assert from "node:assert/strict";
import { main } from "../../pipelines/cli/main.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import {
  drawItScene,
  type ItFactor,
  type ItScene,
  renderItScene,
} from "../../pipelines/phantom/it_stimuli.ts";
import { openCommandGpu } from "../_gpu.ts";

const GAMMAS = [-2, 2];

/** What a group does to a scene: its own factor, and with `leak` the tone too. */
function steered(
  { category, values }: ItScene,
  group: number,
  gamma: number,
  leak: number,
): ItScene {
  const moved = (changed: Partial<Record<ItFactor, number>>, to = category): ItScene => ({
    category: to,
    values: { ...values, tone: values.tone + 0.01 * leak * gamma, ...changed },
  });
  if (group === 0) return moved({ ty: values.ty + 0.02 * gamma, rxy: values.rxy + 5 * gamma });
  if (group === 1) return moved({}, (category + (gamma > 0 ? 1 : 7)) % 8);
  return moved({ tone: values.tone + 0.05 * gamma });
}

/** A folder of two sources and three groups. */
async function writeFolder(folder: string, leak: number): Promise<void> {
  Deno.mkdirSync(folder);
  using file = await Hdf5Writer.create(`${folder}/steer.h5`);
  const scenes = [0, 1].map((i) => drawItScene(9, i));
  const write = (name: string, values: ArrayLike<number>, shape: readonly number[]) => {
    file.createDataset(name, { shape, dtype: "f32" });
    file.writeRows(name, 0, Float32Array.from(values));
  };
  const images = scenes.flatMap((scene) =>
    [0, 1, 2].flatMap((g) =>
      GAMMAS.flatMap((gamma) => [...renderItScene(steered(scene, g, gamma, leak))])
    )
  );
  write("/images", images, [2, 3, 2, 1, 32, 32]);
  write("/unsteered", scenes.flatMap((scene) => [...renderItScene(scene)]), [2, 1, 32, 32]);
  write("/gamma", GAMMAS, [2]);
  write("/sources", [4, 7], [2]);
  write("/groups", [0, 1, 2], [3]);
  write("/psnr", [40, 41], [2]);
  file.commit();
}

async function gyrus(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const { log, error } = console;
  console.log = (text: unknown) => out.push(String(text));
  console.error = (text: unknown) => err.push(String(text));
  try {
    const code = await main([...args, "--json"]);
    return { code, out: out.join("\n"), err: err.join("\n") };
  } finally {
    Object.assign(console, { log, error });
  }
}

Deno.test("gyrus effects finds what was changed in images, by drawing them again", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    await writeFolder(`${folder}/clean`, 0);
    await writeFolder(`${folder}/leaky`, 2);
    const steered = ["--steered", `${folder}/clean`, `leaks=${folder}/leaky`];
    const common = ["effects", ...steered, "--readout", "drawing", "--draws", "300"];
    const { code, out, err } = await gyrus(
      ...common,
      ...["--own", "pose,category,tone", "--out", `${folder}/out`],
    );
    assert.equal(code, 0, err);
    const { methods, own, factors } = JSON.parse(out);
    assert.deepEqual(own.map((f: number) => factors[f]), ["pose", "category", "tone"]);
    const [clean, leaks] = methods;
    assert.deepEqual([clean.name, leaks.name], ["clean", "leaks"]);
    // The category changes in every edit of its group, which is 8/7 of what unrelated stimuli do, and in no other.
    assert.ok(Math.abs(clean.effects.effects[1][1].mean - 8 / 7) < 0.03);
    assert.ok(clean.effects.effects[0][1].mean === 0 && clean.effects.effects[2][1].mean === 0);
    // Tone moves by 0.1 of a range of 0.45, of which a third is 1; pose by two of six.
    assert.ok(Math.abs(clean.effects.effects[2][3].mean - 0.1 * 3 / 0.45) < 0.1);
    assert.ok(clean.effects.ratio.mean > 10, `${clean.effects.ratio.mean}`);
    assert.ok(leaks.behind.low > 0 && leaks.effects.effects[0][3].mean > 0.15);
    assert.equal(clean.effects.dominance.count, 3);
    assert.ok(clean.monotone[0].signed === 1 && clean.residual < 0.02);
    const page = Deno.readTextFileSync(`${folder}/out/index.html`);
    assert.equal(page.match(/<img /g)?.length, 2 * 6 * 3);
    assert.equal(JSON.parse(Deno.readTextFileSync(`${folder}/out/run.json`)).command, "effects");
    const wrong = await gyrus(...common, "--own", "pose,colour,-", "--out", `${folder}/wrong`);
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /factor "colour": there are pose, category/);
    const few = await gyrus(...common, "--own", "pose", "--out", `${folder}/wrong`);
    assert.match(few.err, /names the factors of 1 groups/);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("gyrus effects fits readouts to labelled stimuli", async () => {
  (await openCommandGpu())[Symbol.dispose]();
  const folder = Deno.makeTempDirSync();
  try {
    await writeFolder(`${folder}/clean`, 0);
    assert.equal((await gyrus("phantom", "it", "--out", `${folder}/it`, "--n", "80")).code, 0);
    const common = [
      ...["effects", "--steered", `${folder}/clean`, "--images", `${folder}/it/stimuli.npy`],
      ...["--table", `${folder}/it/stimuli.csv`, "--draws", "50"],
      ...["--features-model", "pipelines/phantom/weights/clip.safetensors"],
    ];
    const { code, out, err } = await gyrus(
      ...[...common, "--factors", "grey=background,tone;category=category_name"],
      ...["--own", "-,category,grey", "--out", `${folder}/out`],
    );
    assert.equal(code, 0, err);
    const { readouts, factors, methods } = JSON.parse(out);
    assert.deepEqual(factors, ["grey", "category"]);
    assert.equal(methods[0].effects.effects[0].length, 2);
    assert.ok(readouts.every(Number.isFinite), `${readouts}`);
    const missing = await gyrus(
      ...[...common, "--factors", "grey=nothing", "--own", "grey,-,-", "--out", `${folder}/no`],
    );
    assert.equal(missing.code, 2);
    assert.match(missing.err, /has no column "nothing"/);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
