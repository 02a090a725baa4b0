import assert from "node:assert/strict";
import { studySpecs } from "../../pipelines/brain_sail/study_specs.ts";
import {
  fillSettings,
  flagOf,
  parseSettings,
  settingOfWords,
} from "../../pipelines/brain_sail/study_settings.ts";
import { gyrus } from "../console.ts";
import { InputError } from "../../pipelines/errors.ts";
import { TestFolder } from "./io_fixtures.ts";

const parse = (json: unknown, source = "data/brain_sail.json") =>
  parseSettings(studySpecs, new TextEncoder().encode(JSON.stringify(json)), source);
const specOf = (key: string) => studySpecs.find((spec) => spec.key === key)!;

Deno.test("parseSettings() takes one for a list of one, and finds files beside the configuration", () => {
  const settings = parse({
    model: "clip/",
    captions: ["paper"],
    tokenizer: ["none", "/abs/tok"],
    subjects: ["1", "r.h5"],
    nTop: 3,
    nTopOf: { food: 7 },
  });
  assert.deepEqual(settings, {
    model: ["data/clip/"],
    captions: ["paper"],
    tokenizer: ["none", "/abs/tok"],
    subjects: ["1", "data/r.h5"],
    nTop: 3,
    nTopOf: { food: 7 },
  });
  assert.deepEqual(parse({ nsd: "nsd" }, "here.json"), { nsd: "nsd" });
});

Deno.test("parseSettings() says in a sentence what is wrong", () => {
  const cases: [unknown, RegExp][] = [
    [{ ntop: 3 }, /there is no setting "ntop", did you mean "nTop"\?/],
    [{ colour: 1 }, /there is no setting "colour"$/],
    [{ nTop: 0 }, /"nTop" must be a whole number from 1, it is 0/],
    [{ nTop: 2.5 }, /"nTop" must be a whole number from 1, it is 2\.5/],
    [{ nTop: "3" }, /"nTop" must be a whole number from 1, it is "3"/],
    [{ solver: "lasso" }, /"solver" must be a text of ridge, probe, it is "lasso"/],
    [{ dense: ["naclip", "x"] }, /"dense" must be a list of texts of vanilla, maskclip/],
    [{ model: [] }, /"model" must be a list of texts/],
    [{ model: null }, /"model" must be a list of texts/],
    [{ nTopOf: { food: "many" } }, /"nTopOf" must be whole numbers by name from 1/],
    [{ minR2: null }, /"minR2" must be a number, it is null/],
    [[1], /must be a JSON object, got an array/],
  ];
  for (const [json, message] of cases) {
    assert.throws(
      () => parse(json),
      (error: Error) =>
        error instanceof InputError && message.test(error.message) &&
        error.message.startsWith('Cannot use "data/brain_sail.json":'),
      `${JSON.stringify(json)}`,
    );
  }
});

Deno.test("settingOfWords() reads flags as the file is read", () => {
  assert.equal(settingOfWords(specOf("nTop"), ["4"]), 4);
  assert.deepEqual(settingOfWords(specOf("size"), ["896", "518"]), ["896", "518"]);
  assert.deepEqual(settingOfWords(specOf("distill"), ["51", "25"]), [51, 25]);
  assert.deepEqual(settingOfWords(specOf("roiCategory"), ["aIT=face"]), { aIT: "face" });
  assert.deepEqual(settingOfWords(specOf("nTopOf"), ["food=10"]), { food: 10 });
  assert.throws(() => settingOfWords(specOf("nTop"), ["x"]), /--n-top: "nTop" must be a whole/);
  assert.throws(() => settingOfWords(specOf("nTopOf"), ["food"]), /it takes NAME=VALUE, it is/);
});

Deno.test("every setting has a flag of its own, help, and a fallback that it accepts", () => {
  assert.equal(new Set(studySpecs.map(({ key }) => flagOf(key))).size, studySpecs.length);
  for (const { key, fallback, about } of studySpecs) {
    assert.ok(about.length > 10, key);
    if (fallback !== undefined) assert.deepEqual(parse({ [key]: fallback })[key], fallback);
  }
  assert.equal(fillSettings(studySpecs, {}).nShuffles, 39);
});

Deno.test("localize --print-config prints the settings in force, which read back the same", async () => {
  using folder = new TestFolder();
  folder.write("a.json", JSON.stringify({ subjects: ["s.h5"], nTop: 2, size: ["64"] }));
  const flags = ["--config", folder.at("a.json"), "--n-top", "9", "--model", "m.safetensors"];
  const first = await gyrus("localize", ...flags, "--print-config");
  assert.equal(first.code, 0, first.text);
  const settings = JSON.parse(first.text);
  assert.equal(settings.nTop, 9);
  assert.deepEqual(settings.size, ["64"]);
  assert.deepEqual(settings.subjects, [folder.at("s.h5")]);
  assert.equal(settings.solver, "ridge");
  // Paths that are printed are seen from the working directory, where this file would stand.
  const cwd = Deno.cwd();
  Deno.chdir(folder.at(""));
  try {
    Deno.writeTextFileSync("b.json", first.text);
    assert.equal(
      (await gyrus("localize", "--config", "b.json", "--print-config")).text,
      first.text,
    );
  } finally {
    Deno.chdir(cwd);
  }
});

Deno.test("localize refuses a study that lacks something, and flags that mean nothing", async () => {
  using folder = new TestFolder();
  folder.write("bad.json", '{"nTop": 1, "nTop": 2}');
  const out = ["--out", folder.at("out")];
  const cases: [string[], RegExp][] = [
    [["--config", folder.at("missing.json")], /missing\.json.*no such file/],
    [["--config", folder.at("bad.json")], /has the key "nTop" twice/],
    [["--n-top", "0"], /--n-top: "nTop" must be a whole number from 1, it is 0/],
    [[], /needs the weights of a backbone, --model/],
    [
      ["--model", "a", "b", "--size", "1", "2", "3"],
      /"size" must have one entry, or one for each of 2/,
    ],
    [["--model", "a"], /without an encoder it needs "trainImages"/],
    [["--model", "a", "--images", "x"], /--images: it needs --encoder/],
    [
      ["--model", "a", "--nsd", "x", "--subjects", "9"],
      /"subjects" must be numbers from 1 to 8, got 9/,
    ],
    [["--model", "a", "--encoder", "e.h5"], /--images is missing/],
    [["--model", "a", "b", "--encoder", "e.h5", "--images", "x"], /an encoder belongs to one, got/],
  ];
  for (const [args, message] of cases) {
    const { code, text } = await gyrus("localize", ...args, ...out);
    assert.equal(code, 2, text);
    assert.match(text, message);
    assert.deepEqual(folder.list().sort(), ["bad.json"], `${args}`);
  }
});
