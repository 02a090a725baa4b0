import assert from "node:assert/strict";
import { InputError } from "../../pipelines/errors.ts";
import { readAssembly } from "../../pipelines/hvm/assembly.ts";
import { readMatrix, readPopulation } from "../../pipelines/hvm/population.ts";
import {
  categoryLabels,
  HVM_ROTATIONS,
  poseFeatures,
  readStimulusTable,
} from "../../pipelines/hvm/stimuli.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { writeMat } from "../../pipelines/io/mat.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";

// Written by xarray 2026.9 (engine netcdf4) from an assembly with MultiIndex coordinates after reset_index, as brainio does it: 4 neuroids
// (IT, IT, V4, IT of Chabo, Tito, Tito, Tito) × 6 presentations (c a b a c b) × 4 time bins (50-70-100-170-270 ms), with the value
// 100·neuroid + 10·presentation + bin, but NaN of neuroid 1, presentation 3, bin 2.
const assembly = decodeURIComponent(
  new URL("../golden/io/xarray_assembly.nc", import.meta.url).pathname,
);

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const near = (values: Float32Array, expected: readonly number[]) => {
  assert.equal(values.length, expected.length);
  values.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-4, `${values}`));
};

Deno.test("readAssembly() averages repeats and the time bins of the window, of the sites chosen", async () => {
  const read = await readAssembly(assembly, { region: "IT", animal: "Tito" });
  assert.deepEqual(read.stimuli, ["im_c", "im_a", "im_b"]);
  // 70-100 and 100-170 ms are bins 1 and 2, with shares 0.3 and 0.7: 1.7. Presentations of c are 0 and 4, of a 1 and 3, of b 2 and 5;
  // of a the first site has one answer only.
  near(read.responses.data, [121.7, 321.7, 111.7, 321.7, 136.7, 336.7]);
  assert.deepEqual([...read.repeats], [2, 2, 2]);
  assert.deepEqual(read.sites.get("neuroid_id"), ["n1", "n3"]);
  assert.deepEqual(read.columns.get("category_name"), ["Cars", "Cars", "Faces"]);
  assert.equal(read.columns.has("repetition"), false, "it differs between presentations");
  const all = await readAssembly(assembly, { window: [50, 70] });
  assert.deepEqual(all.responses.shape, [3, 4]);
  near(all.responses.data.subarray(0, 4), [20, 120, 220, 320]);
});

Deno.test("readAssembly() names what is not there", async () => {
  const cases: [Parameters<typeof readAssembly>[1], RegExp][] = [
    [{ region: "V1" }, /region is IT, V4/],
    [{ region: "V4", animal: "Chabo" }, /animal is Tito/],
    [{ window: [60, 170] }, /do not make up that window, they are 50-70, 70-100, 100-170, 170-270/],
  ];
  for (const [options, message] of cases) {
    await assert.rejects(readAssembly(assembly, options), (error) => {
      assert.ok(error instanceof InputError);
      assert.match(error.message, message);
      return true;
    });
  }
  await inFolder(async (folder) => {
    const classic = `${folder}/old.nc`;
    await Deno.writeFile(classic, new TextEncoder().encode("CDF\x01\0\0\0\0"));
    await assert.rejects(readAssembly(classic), /classic format/);
    const plain = `${folder}/plain.nc`;
    {
      using file = await Hdf5Writer.create(plain);
      file.createDataset("/data", { shape: [2, 3], dtype: "f32" });
      file.writeRows("/data", 0, new Float32Array(6));
      file.commit();
    }
    await assert.rejects(readAssembly(plain), /needs the coordinate stimulus_id or image_id/);
    const silent = `${folder}/silent.nc`;
    {
      using file = await Hdf5Writer.create(silent);
      file.createDataset("/data", { shape: [2, 3], dtype: "f64" });
      file.writeRows("/data", 0, Float64Array.of(1, 2, NaN, 4, 5, 6));
      file.writeStrings("/image_id", ["a", "b"]);
      file.commit();
    }
    await assert.rejects(readAssembly(silent), /site 2 .* has no answer to stimulus "a"/);
  });
});

Deno.test("readAssembly() tells axes without references by their lengths", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/two.nc`;
    {
      using file = await Hdf5Writer.create(path);
      file.createDataset("/data", { shape: [4, 2], dtype: "f64" });
      file.writeRows("/data", 0, Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8));
      file.writeStrings("/stimulus_id", ["a", "b", "a", "c"]);
      file.writeStrings("/region", ["IT", "V4"]);
      file.commit();
    }
    const read = await readAssembly(path, { region: "V4" });
    near(read.responses.data, [4, 4, 8]); // a: 2 and 6
    assert.deepEqual([...read.repeats], [2, 1, 1]);
  });
});

const CSV = "image_id,category_name,s,ty,tz,rxy_semantic,rxz_semantic,ryz_semantic\n" +
  "im_a,Cars,1,0.5,0,90,0,0\nim_b,Faces,1.2,0,0.25,-30,180,0\nim_c,Cars,0.8,0,0,0,0,45\n";

Deno.test("readStimulusTable() orders brainio's columns by the stimuli", () => {
  const table = readStimulusTable(CSV, { stimuli: ["im_c", "im_a"], source: "hvm.csv" });
  near(poseFeatures(table, ["s", "rxy_semantic"]).data, [0.8, 0, 1, 90]);
  near(poseFeatures(table, HVM_ROTATIONS).data.subarray(6), [1, 0, 0, 1, 0, 1]);
  const whole = readStimulusTable(CSV, { source: "hvm.csv" });
  const { categories, names } = categoryLabels(whole);
  assert.deepEqual([...categories], [0, 1, 0]);
  assert.deepEqual(names, ["Cars", "Faces"]);
  assert.throws(() => poseFeatures(table, ["size"]), /they have image_id, category_name, s/);
  assert.throws(
    () => poseFeatures(table, ["category_name"]),
    /stimulus 0 .* has "Cars", no number/,
  );
  assert.throws(
    () => readStimulusTable(CSV, { stimuli: ["im_d"], source: "hvm.csv" }),
    /no stimulus "im_d"/,
  );
});

Deno.test("readPopulation() takes labels from an assembly, its table, a folder or files", async () => {
  await inFolder(async (folder) => {
    const csv = `${folder}/hvm.csv`;
    await Deno.writeTextFile(csv, CSV);
    const own = await readPopulation(assembly, { region: "IT", poseColumns: ["rxy_semantic"] });
    near(own.pose!.data, [0, 90, -30]);
    assert.deepEqual([...own.categories!], [0, 0, 1]);
    const tabled = await readPopulation(assembly, { region: "IT", stimuli: csv });
    assert.deepEqual(tabled.pose!.shape, [3, 6]);
    near(tabled.pose!.data.subarray(0, 2), [0.8, 0]);

    const write = (name: string, values: number[], shape: number[]) =>
      Deno.writeFileSync(
        `${folder}/${name}`,
        writeNpy(hostTensor(Float64Array.from(values), shape)),
      );
    write("sorted_it_avg_data.npy", [1, 2, 3, 4, 5, 6], [2, 3]);
    write("stimulus_pose_features.npy", [7, 8, 9, 10], [2, 2]);
    write("stimulus_category_ids.npy", [1, 0], [2]);
    const released = await readPopulation(folder, { sites: [0, 2] });
    near(released.responses.data, [1, 2, 4, 5]);
    near(released.pose!.data, [7, 8, 9, 10]);
    assert.deepEqual([...released.categories!], [1, 0]);
    await assert.rejects(readPopulation(folder, { sites: [1, 4] }), /have 3/);
    write("broken.npy", [1, NaN, 3, 4], [2, 2]);
    await assert.rejects(readPopulation(`${folder}/broken.npy`), /row 0, column 1 .* is NaN/);
    await assert.rejects(
      readPopulation(`${folder}/sorted_it_avg_data.npy`, { stimuli: csv }),
      /it has 2 stimuli, they are of 3/,
    );
    write("labels.npy", [1, 0.5], [2]);
    await assert.rejects(
      readPopulation(folder, { categories: `${folder}/labels.npy` }),
      /stimulus 1 is 0.5/,
    );
  });
});

Deno.test("readMatrix() reads MATLAB's and comma-separated matrices", async () => {
  await inFolder(async (folder) => {
    const data = Float64Array.of(1, 2, 3, 4, 5, 6);
    await Deno.writeFile(`${folder}/x.mat`, writeMat({ responses: { shape: [2, 3], data } }));
    near((await readMatrix(`${folder}/x.mat`, "sites")).data, [...data]);
    await assert.rejects(readMatrix(`${folder}/x.mat:betas`, "sites"), /it has responses/);
    await Deno.writeTextFile(`${folder}/named.csv`, "a,b\n1,2\n3,4\n");
    await Deno.writeTextFile(`${folder}/bare.csv`, "1,2\n3,4\n");
    for (const name of ["named", "bare"]) {
      const { data, shape } = await readMatrix(`${folder}/${name}.csv`, "sites");
      near(data, [1, 2, 3, 4]);
      assert.deepEqual(shape, [2, 2]);
    }
    await Deno.writeTextFile(`${folder}/bad.csv`, "a,b\n1,x\n");
    await assert.rejects(readMatrix(`${folder}/bad.csv`, "sites"), /"x" in row 0 of "b"/);
  });
});
