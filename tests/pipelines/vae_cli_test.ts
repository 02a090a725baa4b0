/**
 * `gyrus vae` from files to files.
 */
import assert from "node:assert/strict";
import { main } from "../../pipelines/cli/main.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { vaeTensorShapes } from "../../pipelines/vae/parameters.ts";
import { readNeuralVae } from "../../pipelines/vae/vae_file.ts";
import { TestFolder } from "./io_fixtures.ts";
import { finish, killAt, start } from "./killed_process.ts";
import { plantedPopulation } from "./vae_population.ts";

const folder = new TestFolder();
const { responses, pose, categories } = plantedPopulation(240, 12);
folder.write("responses.npy", writeNpy(hostTensor(responses.data, [240, 12])));
folder.write("pose.npy", writeNpy(hostTensor(pose.data, [240, 2])));
folder.write("categories.npy", writeNpy(hostTensor(categories, [240])));
const source = ["--responses", folder.at(".")];
const small = ["--groups", "2,3,2", "--hidden", "16", "--lr", "5e-3", "--seed", "3"];
const fit = ["vae", "fit", ...source, ...small, "--epochs", "6", "--evaluate-every", "2"];

/** Runs a command line and collects what it prints. */
async function gyrus(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { log, error } = console;
  const said = { out: "", err: "" };
  console.log = (line: unknown) => said.out += `${line}\n`;
  console.error = (line: unknown) => said.err += `${line}\n`;
  try {
    return { code: await main(args), ...said };
  } finally {
    Object.assign(console, { log, error });
  }
}

async function arraysOf(path: string): Promise<Map<string, Float32Array>> {
  using file = await Hdf5File.open(path);
  return new Map(file.datasets().map((name) => [name, toFloat32(file.read(name))]));
}

Deno.test("vae fit, encode and report go from files to files", async () => {
  const vae = folder.at("vae.h5"), latents = folder.at("latents.h5"), page = folder.at("page.html");
  const fitted = await gyrus(...fit, "--json", "--out", vae);
  assert.equal(fitted.code, 0, fitted.err);
  const told = JSON.parse(fitted.out);
  assert.equal(told.nStimuli, 240);
  assert.equal(told.trainedOn, "host");
  assert.ok(told.r2 > 0.3 && told.r2 < 0.95 && told.categoryAccuracy <= 1 && told.poseR2 < 1);
  const record = JSON.parse(Deno.readTextFileSync(`${vae}.run.json`));
  assert.equal(record.command, "vae fit");

  const encoded = await gyrus("vae", "encode", "--vae", vae, ...source, "--out", latents);
  assert.equal(encoded.code, 0, encoded.err);
  const [own, kept] = await Promise.all([latents, vae].map(arraysOf));
  assert.deepEqual(own.get("/mu"), kept.get("/mu"));
  assert.equal(own.get("/logvar")?.length, 240 * 7);

  const report = ["vae", "report", "--vae", vae, ...source];
  const ablations = ["--ablations", "--seeds", "2", "--epochs", "2"];
  const checkpoint = ["--checkpoint", folder.at("runs")];
  const made = await gyrus(...report, ...ablations, ...checkpoint, "--json", "--out", page);
  assert.equal(made.code, 0, made.err);
  assert.ok(JSON.parse(made.out).groupSap > 0);
  const html = Deno.readTextFileSync(page);
  for (
    const part of [
      "group 0 (pose)",
      "group 1 (category)",
      "without partial correlation",
      "Mutual information",
      "Training",
    ]
  ) assert.ok(html.includes(part), part);
  assert.match(html, /MIG of groups<\/th>.*? ± /s);
  assert.ok(!/NaN|undefined/.test(html), "every number is there");
});

Deno.test("vae encode reads the released code's module, with groups that are told", async () => {
  const vae = folder.at("module.h5"), weights = folder.at("module.safetensors");
  assert.equal((await gyrus(...fit, "--out", vae)).code, 0);
  const { vae: read } = await readNeuralVae(vae);
  const shapes = vaeTensorShapes(read.shape);
  saveSafetensors(
    weights,
    new Map([...read.weights].map(([name, values]) => [
      name,
      hostTensor(Float32Array.from(values), shapes.get(name)!),
    ])),
  );
  const out = folder.at("module_latents.h5");
  const encode = ["vae", "encode", "--vae", weights, ...source];
  const told = await gyrus(...encode, "--groups", "2,3,2", "--out", out);
  assert.equal(told.code, 0, told.err);
  assert.deepEqual((await arraysOf(out)).get("/mu"), (await arraysOf(vae)).get("/mu"));
  const wrong = await gyrus(...encode, "--out", out);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /7 latent dimensions, groups of \[6,6,6,6\] have 24/);
});

Deno.test("vae fit that was killed goes on with the same bits", async () => {
  const [whole, cut, log] = ["whole.h5", "cut.h5", "state"].map((name) => folder.at(name));
  const long = [...fit, "--epochs", "60"];
  assert.equal((await gyrus(...long, "--out", whole)).code, 0);
  const command = [...long, "--checkpoint", log, "--out", cut];
  assert.ok(await killAt(start(command), log, 5000), "it was killed");
  await finish(start(command));
  assert.deepEqual(await arraysOf(cut), await arraysOf(whole));
});

Deno.test("vae commands exit with 2 and say what does not fit", async () => {
  const out = folder.at("none.h5");
  folder.write("other.npy", writeNpy(hostTensor(new Float32Array(240 * 5), [240, 5])));
  folder.write("nan.npy", writeNpy(hostTensor(new Float32Array(240 * 5).fill(NaN), [240, 5])));
  const vae = folder.at("vae.h5");
  const cases: [string[], RegExp][] = [
    [["fit", "--responses", folder.at("nan.npy")], /row 0, column 0 .* is NaN/],
    [["fit", ...source, "--groups", "1,2"], /group 0 by the pose: it has 1 dimensions/],
    [["fit", ...source, "--sites", "4:40"], /responses have 12/],
    [["fit", ...source, "--sites", "4"], /START:END/],
    [["fit", ...source, "--groups", "2,x"], /whole number/],
    [["fit", ...source, "--checkpoint", out], /the result goes there/],
    [["fit", "--responses", folder.at("missing.npy")], /missing.npy/],
    [["encode", "--vae", vae, "--responses", folder.at("other.npy")], /12 sites, 5 are given/],
    [["encode", "--vae", folder.at("responses.npy"), ...source], /not an HDF5 file/],
    [["report", "--vae", vae, ...source, "--ablations", "--seeds", "0"], /from 1, got 0/],
    [
      ["report", "--vae", vae, ...source, "--pose", folder.at("other.npy")],
      /fitted to 2 pose features, 5 are given/,
    ],
  ];
  for (const [args, message] of cases) {
    const { code, err } = await gyrus("vae", ...args, "--out", out);
    assert.equal(code, 2, `${args}: ${err}`);
    assert.match(err, message);
  }
  assert.throws(() => Deno.statSync(out), Deno.errors.NotFound);
  folder[Symbol.dispose]();
});
