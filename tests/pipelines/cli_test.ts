/**
 * The command line's frame: exit codes, one sentence for bad input, whole outputs, progress.
 *
 * @module
 */
import assert from "node:assert/strict";
import { CommanderError } from "commander";
import config from "../../deno.json" with { type: "json" };
import { InputError } from "../../pipelines/errors.ts";
import { createProgram, explain } from "../../pipelines/cli/main.ts";
import { realNumber, wholeNumber } from "../../pipelines/cli/options.ts";
import { beginOutput, discardOutputs, writeOutput } from "../../pipelines/cli/output.ts";
import { formatSeconds, Progress } from "../../pipelines/cli/progress.ts";
import { needs } from "../expectations.ts";

/** Runs `body` with console.error collected. */
function collectErrors<T>(body: () => T): { result: T; text: string } {
  const lines: string[] = [];
  const original = console.error;
  console.error = (value: unknown) =>
    lines.push(String(value instanceof Error ? value.stack : value));
  try {
    return { result: body(), text: lines.join("\n") };
  } finally {
    console.error = original;
  }
}

/** A temporary folder that goes with its scope. */
function temporary(): Disposable & { readonly path: string } {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

Deno.test("explain() gives 2 and one line to what the user can act on, else 1 and the stack", () => {
  const full = Object.assign(new Error("No space left on device (os error 28)"), {
    code: "ENOSPC",
  });
  const shape = Object.assign(new Error("b must be [k,n]"), { name: "ShapeError" });
  for (
    const error of [new InputError("two\n  lines"), new Deno.errors.NotFound("x"), full, shape]
  ) {
    const { result, text } = collectErrors(() => explain(error));
    assert.equal(result, 2);
    assert.match(text, /^gyrus: [^\n]+$/);
  }
  const { result, text } = collectErrors(() => explain(new TypeError("a defect")));
  assert.equal(result, 1);
  assert.match(text, /a defect[\s\S]*cli_test\.ts/);
  assert.equal(
    collectErrors(() => explain(new CommanderError(0, "commander.help", "x"))).result,
    0,
  );
});

Deno.test("--version prints the version of deno.json", async () => {
  const written: string[] = [];
  const program = createProgram().configureOutput({ writeOut: (text) => written.push(text) });
  await assert.rejects(program.parseAsync(["--version"], { from: "user" }), { exitCode: 0 });
  assert.equal(written.join("").trim(), config.version);
});

Deno.test("the program refuses unknown options and values with one sentence", async () => {
  const program = createProgram();
  program.command("probe").exitOverride().configureOutput({ outputError: () => undefined })
    .action(() => {});
  const attempts = [["probe", "--no-such"], ["probe", "--seed", "x"], [
    "probe",
    "--backend",
    "cuda",
  ]];
  for (const args of attempts) {
    const error = await program.parseAsync(args, { from: "user" }).then(() => undefined, (e) => e);
    const { result, text } = collectErrors(() => explain(error));
    assert.equal(result, 2, String(error));
    assert.match(text, /^gyrus: [^\n]+$/);
  }
});

Deno.test("wholeNumber() and realNumber() take numbers only", () => {
  assert.equal(wholeNumber("42"), 42);
  assert.equal(realNumber("-1e-3"), -1e-3);
  for (const text of ["", " ", "-1", "1.5", "1e3", "0x10", "9007199254740993", "x"]) {
    assert.throws(() => wholeNumber(text), text);
  }
  for (const text of ["", " ", "x", "Infinity", "NaN", "1,5"]) {
    assert.throws(() => realNumber(text), text);
  }
});

Deno.test("beginOutput() shows a file only when it is committed", () => {
  using folder = temporary();
  const path = `${folder.path}/deep/F.h5`;
  const output = beginOutput(path);
  Deno.writeTextFileSync(output.partial, "half");
  assert.deepEqual(names(`${folder.path}/deep`), ["F.h5.partial"]);
  output.commit();
  assert.deepEqual(names(`${folder.path}/deep`), ["F.h5"]);
  Deno.writeTextFileSync(beginOutput(path).partial, "second, stopped");
  discardOutputs();
  assert.deepEqual(names(`${folder.path}/deep`), ["F.h5"]);
  assert.equal(Deno.readTextFileSync(path), "half");
  writeOutput(path, "third");
  assert.equal(Deno.readTextFileSync(path), "third");
});

Deno.test("beginOutput() keeps a partial that a command can resume", () => {
  using folder = temporary();
  const path = `${folder.path}/F.h5`;
  Deno.writeTextFileSync(beginOutput(path, { resume: true }).partial, "half");
  discardOutputs();
  assert.equal(Deno.readTextFileSync(beginOutput(path, { resume: true }).partial), "half");
  assert.throws(() => Deno.statSync(beginOutput(path).partial), Deno.errors.NotFound);
});

Deno.test("beginOutput() replaces an older result folder and no other", () => {
  using folder = temporary();
  const path = `${folder.path}/R`;
  for (const text of ["first", "second"]) {
    const output = beginOutput(`${path}/`, { kind: "folder" });
    Deno.writeTextFileSync(`${output.partial}/run.json`, text);
    output.commit();
    assert.equal(Deno.readTextFileSync(`${path}/run.json`), text);
  }
  assert.deepEqual(names(folder.path), ["R"]);
  Deno.mkdirSync(`${folder.path}/mine`);
  Deno.writeTextFileSync(`${folder.path}/mine/thesis.txt`, "years");
  const mine = () => beginOutput(`${folder.path}/mine`, { kind: "folder" });
  assert.throws(mine, /the folder holds thesis\.txt and no run\.json/);
});

Deno.test("beginOutput() says what stands in the way", () => {
  using folder = temporary();
  assert.throws(() => beginOutput(undefined), /--out is missing/);
  assert.throws(() => beginOutput("."), InputError);
  assert.throws(() => beginOutput(`${folder.path}/..`, { kind: "folder" }), InputError);
  assert.throws(() => beginOutput("/"), InputError);
  assert.throws(() => beginOutput(folder.path), /a file is written there, and it is a folder/);
  Deno.writeTextFileSync(`${folder.path}/f`, "");
  const asFolder = () => beginOutput(`${folder.path}/f`, { kind: "folder" });
  assert.throws(asFolder, /a folder is written there, and it is a file/);
});

Deno.test("Progress draws one line on a terminal, few lines elsewhere, none when silent", () => {
  const run = (terminal: boolean, silent = false): string => {
    let text = "";
    let time = 0;
    const write = (part: string) => text += part;
    const progress = new Progress({ terminal, silent, write, now: () => time });
    for (let done = 0; done <= 100; done++, time += 250) {
      progress.update({ stage: "features", done, total: 100 });
    }
    progress.log("saved");
    return text;
  };
  const bar = run(true);
  assert.equal(bar.split("\n").length, 3);
  assert.match(bar, /50\/100 {2}13 s left/);
  assert.match(bar, /█{24} 100\/100 {2}25 s\nsaved\n$/);
  assert.deepEqual(run(false).split("\n"), [
    "features 0/100",
    "features 40/100  15 s left",
    "features 80/100  5.0 s left",
    "features 100/100  25 s",
    "saved",
    "",
  ]);
  assert.equal(run(true, true), "");
});

Deno.test("formatSeconds() reads well at every size", () => {
  assert.deepEqual([0.04, 9.94, 9.96, 59.4, 59.6, 185, 7800].map(formatSeconds), [
    "0.0 s",
    "9.9 s",
    "10 s",
    "59 s",
    "1 min 00 s",
    "3 min 05 s",
    "2 h 10 min",
  ]);
});

Deno.test(
  "stopOnSignals() exits with 130 on Ctrl-C and 143 on SIGTERM, leaving no partial",
  needs("posixSignals", Deno.build.os !== "windows"),
  async () => {
    using folder = temporary();
    const module = new URL("../../pipelines/cli/output.ts", import.meta.url).href;
    const script = `
    import { beginOutput, stopOnSignals } from ${JSON.stringify(module)};
    stopOnSignals();
    Deno.writeTextFileSync(beginOutput(${JSON.stringify(`${folder.path}/F`)}).partial, "half");
    console.log("ready");
    await new Promise((resolve) => setTimeout(resolve, 60_000));`;
    for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["eval", script],
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const reader = child.stdout.getReader();
      await reader.read(); // ready
      assert.deepEqual(names(folder.path), ["F.partial"]);
      child.kill(signal);
      reader.releaseLock();
      const { code: seen, stderr } = await child.output();
      assert.equal(seen, code);
      assert.match(new TextDecoder().decode(stderr), /gyrus: stopped by/);
      assert.deepEqual(names(folder.path), []);
    }
  },
);
