/**
 * The test runner's counting: a miscount would hide failures.
 *
 * @module
 */
import assert from "node:assert/strict";
import { findArchive } from "./runner/dawn.ts";
import { tryDriver } from "./runner/swiftshader.ts";
import { listTestFiles } from "./runner/legs.ts";
import { countCases, runDeno } from "./runner/tally.ts";

/** Writes a test file, runs it as the runner does, and returns its report. */
async function report(source: string): Promise<{ code: number; xml: string }> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/a_test.ts`, source);
    const path = `${folder}/report.xml`;
    const { code } = await runDeno(["test", "--no-check", `--junit-path=${path}`, folder]);
    return { code, xml: await Deno.readTextFile(path) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("countCases() counts what deno test reports, odd names and steps included", async () => {
  const { code, xml } = await report(`
    Deno.test("plain", () => {});
    Deno.test("a <testcase name='x'/> & \\"quotes\\" in /> the name", () => {});
    Deno.test("prints </testcase><failure>", () => console.log("<failure>"));
    Deno.test("fails", () => { throw new Error("<skipped/> </testcase>"); });
    Deno.test("ignored", { ignore: true }, () => {});
    Deno.test("steps", async (t) => { await t.step("one", () => {}); });
  `);
  assert.equal(code, 1);
  const { passed, failed, ignored } = countCases(xml);
  assert.deepEqual({ failed, ignored }, { failed: 1, ignored: 1 });
  assert.ok(passed === 4 || passed === 5, `${passed} passed: a step may count`);
});

Deno.test("countCases() of an empty or cut report is nothing passed", () => {
  assert.deepEqual(countCases(""), { passed: 0, failed: 0, ignored: 0 });
  assert.deepEqual(countCases("<testsuites><testsuite><testcase na"), {
    passed: 0,
    failed: 0,
    ignored: 0,
  });
});

Deno.test("runDeno() stops a process that does not end", async () => {
  const { code, output, seconds } = await runDeno(["eval", "while (true) {}"], {
    timeoutSeconds: 0.5,
  });
  assert.equal(code, 124);
  assert.match(output, /Stopped after 0\.5 s/);
  assert.ok(seconds < 10);
});

Deno.test("findArchive() reads both styles of apt's sources", () => {
  const line =
    "# deb http://old/debian bookworm main\ndeb [signed-by=/k.gpg] http://a/debian bookworm main\n";
  assert.equal(findArchive([line], "bookworm"), "[signed-by=/k.gpg] http://a/debian");
  assert.equal(findArchive(["deb http://b/debian bookworm-updates main\n"], "bookworm"), undefined);
  const stanzas = "Types: deb\nURIs: http://s/security\nSuites: bookworm-security\n\n" +
    "Types: deb\nURIs: http://c/debian\nSuites: bookworm bookworm-updates\nSigned-By: /k.gpg\n";
  assert.equal(findArchive(["", stanzas], "bookworm"), "[signed-by=/k.gpg] http://c/debian");
  assert.equal(findArchive([stanzas.replace("/k.gpg", "")], "bookworm"), "http://c/debian");
});

Deno.test("tryDriver() says why a driver cannot be used", async () => {
  assert.deepEqual(await tryDriver("/nonexistent/icd.json"), {
    skipped: "there is no driver file /nonexistent/icd.json",
  });
  const manifest = await Deno.makeTempFile({ suffix: ".json" });
  const icd = { library_path: "/nonexistent/libvulkan.so", api_version: "1.1.0" };
  await Deno.writeTextFile(
    manifest,
    JSON.stringify({ file_format_version: "1.0.0", ICD: icd }),
  );
  try {
    const found = await tryDriver(manifest);
    assert("skipped" in found, "a driver without a library opened an adapter");
    assert.match(found.skipped, /opens no adapter \(Cannot open a GPU/);
  } finally {
    await Deno.remove(manifest);
  }
});

Deno.test("listTestFiles() tells tests of kernels, of commands and of whole methods apart", async () => {
  const files = await listTestFiles();
  const of = (path: string) => {
    const { usesGpu, isOfCommands } = files.find((file) => file.path === `tests/${path}`)!;
    return { usesGpu, isOfCommands };
  };
  assert.deepEqual(of("kernels_test.ts"), { usesGpu: true, isOfCommands: false });
  assert.deepEqual(of("pipelines/cut_cli_test.ts"), { usesGpu: true, isOfCommands: true });
  assert.deepEqual(of("pipelines/ncut_test.ts"), { usesGpu: false, isOfCommands: false });
});
