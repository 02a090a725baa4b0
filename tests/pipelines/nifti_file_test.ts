import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { InputError } from "../../pipelines/errors.ts";
import { readNifti, writeNifti } from "../../pipelines/io/nifti.ts";
import { NiftiFile } from "../../pipelines/io/nifti_file.ts";
import { type HostArray, hostArray, hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { TestFolder } from "./io_fixtures.ts";

/** A volume series of 3 × 5 × 101 × 2,003 16-bit values, 6 MB: more than one slab, of an odd length. */
const shape = [3, 5, 101, 2003];
const values = Int16Array.from(
  { length: 3 * 5 * 101 * 2003 },
  (_, i) => (i * 7919) % 65521 - 32768,
);

async function read(path: string): Promise<{ all: Float64Array; slabs: number; most: number }> {
  const file = await NiftiFile.open(path);
  let [slabs, next, most] = [0, 0, 0];
  const all = new Float64Array(file.header.shape.reduce((a, b) => a * b));
  for await (const { start, values } of file.slabs()) {
    assert.equal(start, next);
    all.set(values as Exclude<HostArray, BigInt64Array | BigUint64Array>, start);
    next = start + values.length;
    most = Math.max(most, values.byteLength);
    slabs++;
  }
  assert.equal(next, all.length);
  return { all, slabs, most };
}

Deno.test("NiftiFile gives all elements in slabs, packed in one gzip member, in several, or not at all", async () => {
  using folder = new TestFolder();
  const packed = await writeNifti(hostTensor(values, shape));
  const plain = new Uint8Array(gunzipSync(packed));
  const middle = 1_000_003;
  const [first, last] = [gzipSync(plain.subarray(0, middle)), gzipSync(plain.subarray(middle))];
  const several = new Uint8Array(first.length + last.length);
  several.set(first);
  several.set(last, first.length);
  for (const bytes of [packed, plain, several]) {
    const path = folder.write("betas.nii.gz", bytes);
    const { all, slabs, most } = await read(path);
    assert.equal(slabs, 2);
    assert.ok(most <= 4 * 2 ** 20);
    assert.ok(all.every((value, i) => value === values[i]));
  }
  assert.deepEqual(hostArray(await readNifti(several)), values);
});

/** A NIfTI-2 file of the values 1 to 6, [1, 2, 3] in C order, big-endian and scaled. */
function second(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(544 + 12);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, 540);
  view.setInt16(12, 4);
  [3, 3, 2, 1, 1, 1, 1, 1].forEach((n, i) => view.setBigInt64(16 + 8 * i, BigInt(n)));
  view.setBigInt64(168, 544n);
  view.setFloat64(176, 0.25);
  view.setFloat64(184, -1);
  [1, 2, 3, 4, 5, 6].forEach((x, i) => view.setInt16(544 + 2 * i, x));
  return bytes;
}

Deno.test("NiftiFile and readNifti() read NIfTI-2 and big-endian files", async () => {
  using folder = new TestFolder();
  const bytes = second();
  const volume = await readNifti(bytes);
  assert.deepEqual(volume.shape, [1, 2, 3]);
  assert.deepEqual([...toFloat32(volume)], [-0.75, -0.5, -0.25, 0, 0.25, 0.5]);
  const path = folder.write("a.nii", bytes);
  assert.deepEqual((await NiftiFile.open(path)).header.scaling, { slope: 0.25, intercept: -1 });
  assert.deepEqual([...(await read(path)).all], [1, 2, 3, 4, 5, 6]);
});

Deno.test("NiftiFile refuses what is cut off, damaged or claims too much", async () => {
  using folder = new TestFolder();
  const packed = await writeNifti(hostTensor(values.subarray(0, 6060), [3, 1, 2, 1010]));
  const plain = new Uint8Array(gunzipSync(packed));
  const refused = async (bytes: Uint8Array, message: RegExp) => {
    const path = folder.write("x.nii.gz", bytes);
    await assert.rejects(read(path), (error: unknown) => {
      assert.ok(error instanceof InputError, String(error));
      assert.match(error.message, message);
      return !error.message.includes("\n");
    });
  };
  await refused(plain.subarray(0, 5000), /need 12120 bytes from byte 352, the file has 5000/);
  await refused(packed.subarray(0, packed.length - 40), /gzip data is damaged or cut off/);
  await refused(gzipSync(plain.subarray(0, 5000)), /it is cut off after 4648/);
  await refused(new Uint8Array(0), /does not begin with the 348-byte header/);
  await refused(new TextEncoder().encode("no NIfTI"), /does not begin with the 348-byte header/);
  const huge = plain.slice();
  const view = new DataView(huge.buffer);
  for (let axis = 0; axis < 4; axis++) view.setInt16(42 + 2 * axis, 32767, true);
  await refused(gzipSync(huge), /its axes are|it is cut off after 12120/);
  const far = plain.slice();
  new DataView(far.buffer).setFloat32(108, NaN, true);
  await refused(far, /its voxels begin at byte NaN/);
  await assert.rejects(NiftiFile.open(folder.at("none.nii")), /there is no such file/);
});
