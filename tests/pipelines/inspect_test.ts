/**
 * `gyrus inspect` on every format, and on files that are not what they claim to be.
 *
 * @module
 */
import assert from "node:assert/strict";
import { InputError } from "../../pipelines/errors.ts";
import { statsOf } from "../../pipelines/cli/inspect.ts";
import { openListing } from "../../pipelines/cli/list_arrays.ts";
import { main } from "../../pipelines/cli/main.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { writeNifti } from "../../pipelines/io/nifti.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { writePng } from "../../pipelines/io/png.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { TestFolder } from "./io_fixtures.ts";

const matrix = hostTensor(Float32Array.of(1, 2, NaN, -Infinity, 5, 6), [3, 2]);
const matrixStats = {
  count: 6,
  nan: 1,
  infinite: 1,
  min: 1,
  max: 6,
  mean: 3.5,
  std: Math.sqrt(4.25),
};

/** `name dtype [shape]` of every array, and the statistics of the first. */
async function seen(path: string): Promise<{ format: string; arrays: string[]; stats: unknown }> {
  using listing = await openListing(path);
  const arrays = listing.arrays.map(({ name, dtype, shape }) => `${name} ${dtype} [${shape}]`);
  return { format: listing.format, arrays, stats: statsOf(listing.arrays[0]) };
}

Deno.test("openListing() and statsOf() agree on every format", async () => {
  using folder = new TestFolder();
  const npy = folder.write("a.npy", writeNpy(matrix));
  assert.deepEqual(await seen(npy), {
    format: "NumPy",
    arrays: [" f32 [3,2]"],
    stats: matrixStats,
  });
  const weights = folder.at("a.safetensors");
  saveSafetensors(weights, new Map([["w", matrix], ["z", hostTensor(Float32Array.of(7), [])]]));
  assert.deepEqual(await seen(weights), {
    format: "safetensors",
    arrays: ["w f32 [3,2]", "z f32 []"],
    stats: matrixStats,
  });
  assert.equal(((await seen(`${weights}:z`)).stats as { mean: number }).mean, 7);
  const image = { width: 2, height: 1, data: Uint8Array.of(0, 0, 0, 60, 60, 60) };
  const png = await seen(folder.write("a.png", writePng(image)));
  assert.deepEqual([png.format, png.arrays], ["PNG", [" u8 [1,2,3]"]]);
  assert.equal((png.stats as { mean: number }).mean, 30);
  const volume = hostTensor(Int16Array.of(1, 2, 3, 4), [1, 2, 2]);
  const nifti = await seen(folder.write("a.nii.gz", await writeNifti(volume)));
  assert.deepEqual([nifti.format, nifti.arrays], ["NIfTI", [" i16 [1,2,2]"]]);
});

Deno.test("openListing() shows an HDF5 file with text in it", async () => {
  using folder = new TestFolder();
  const path = folder.at("a.h5");
  {
    using file = await Hdf5Writer.create(path);
    file.createDataset("/group/x", { shape: [3, 2], dtype: "f32" });
    file.writeRows("/group/x", 0, Float32Array.of(1, 2, NaN, -Infinity, 5, 6));
    file.writeStrings("/names", ["V1", "FFA"]);
    file.commit();
  }
  const { format, arrays, stats } = await seen(path);
  assert.equal(format, "HDF5");
  assert.equal(arrays[0], "/group/x f32 [3,2]");
  assert.match(arrays[1], /^\/names .*(text|string)/);
  assert.deepEqual(stats, matrixStats);
  assert.equal((await seen(`${path}:group/x`)).arrays.length, 1);
  await assert.rejects(openListing(`${path}:nothing`), /has no array nothing/);
});

Deno.test("statsOf() reads long arrays in runs, and keeps precision far from zero", () => {
  const rows = 3_000_000;
  let largest = 0;
  const stats = statsOf({
    name: "",
    dtype: "f64",
    shape: [rows, 2],
    read(start, end) {
      largest = Math.max(largest, end - start);
      const values = new Float64Array((end - start) * 2);
      return hostTensor(values.map((_, i) => 1e9 + (i % 2)), [end - start, 2]);
    },
  });
  assert.equal(stats?.count, rows * 2);
  assert.ok(largest < rows);
  // Exactly 0.5 but for the rounding of 6e6 updates at 1e9: a naive sum of squares is off by hundreds.
  assert.ok(Math.abs(stats!.std - 0.5) < 1e-6, String(stats!.std));
});

Deno.test("openListing() refuses in one sentence what it cannot read", async () => {
  using folder = new TestFolder();
  const broken = [
    folder.at("missing.h5"),
    folder.write("text.h5", "hello"),
    folder.write("cut.safetensors", Uint8Array.of(255, 0, 0, 0, 0, 0, 0, 0, 1)),
    folder.write("cut.npy", "\x93NUMPY"),
    folder.write("empty.png", ""),
    folder.write("cut.nii", new Uint8Array(20)),
    folder.path,
  ];
  for (const path of broken) {
    await assert.rejects(openListing(path), (error) => error instanceof InputError, path);
  }
});

Deno.test("gyrus inspect --json prints one document a file", async () => {
  using folder = new TestFolder();
  const path = folder.write("a.npy", writeNpy(matrix));
  const lines: string[] = [];
  const original = console.log;
  console.log = (line: string) => lines.push(line);
  try {
    assert.equal(await main(["inspect", path, "--json"]), 0);
    assert.equal(await main(["inspect", path, "--no-stats"]), 0);
  } finally {
    console.log = original;
  }
  const { file, arrays } = JSON.parse(lines[0]);
  assert.equal(file, path);
  assert.deepEqual(arrays[0].shape, [3, 2]);
  assert.match(
    lines.slice(1).join("\n"),
    /NumPy, 1 array\n.*name.*type.*shape\n {2}\(the file\) +f32 +\[3,2\]$/,
  );
});
