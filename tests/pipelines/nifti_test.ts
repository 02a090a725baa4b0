import assert from "node:assert/strict";
import { readNifti, writeNifti } from "../../pipelines/io/nifti.ts";
import { hostArray, hostTensor } from "../../pipelines/io/state_dict.ts";

Deno.test("readNifti() gives back what writeNifti() wrote, for every type", async () => {
  const arrays = [
    Uint8Array.of(1, 2, 3, 4, 5, 255),
    Int16Array.of(-1, 2, 3, 4, 5, -32768),
    Float32Array.of(0.5, NaN, 3, -4, 1e-30, 6),
    Float64Array.of(0.1, 2, 3, 4, 5, 6),
    Int32Array.of(-(2 ** 31), 2, 3, 4, 5, 6),
  ];
  for (const array of arrays) {
    const read = await readNifti(await writeNifti(hostTensor(array, [1, 2, 3])));
    assert.deepEqual(read.shape, [1, 2, 3]);
    assert.deepEqual(hostArray(read), array);
  }
});

Deno.test("readNifti() reads big-endian and scaled files and refuses damaged ones", async () => {
  const gzip = await writeNifti(hostTensor(Int16Array.of(1, 2, 3, 4, 5, 6), [1, 2, 3]));
  const plain = new Uint8Array(
    await new Response(new Blob([gzip]).stream().pipeThrough(new DecompressionStream("gzip")))
      .arrayBuffer(),
  );
  const scaled = plain.slice();
  new DataView(scaled.buffer).setFloat32(112, 0.5, true);
  new DataView(scaled.buffer).setFloat32(116, 1, true);
  assert.deepEqual(hostArray(await readNifti(scaled)), Float32Array.of(1.5, 2, 2.5, 3, 3.5, 4));
  const big = plain.slice();
  const view = new DataView(big.buffer);
  view.setInt32(0, 348);
  [3, 3, 2, 1, 1, 1, 1, 1].forEach((n, i) => view.setInt16(40 + 2 * i, n));
  view.setInt16(70, 4);
  view.setFloat32(108, 352);
  view.setFloat32(112, 1);
  [1, 2, 3, 4, 5, 6].forEach((x, i) => view.setInt16(352 + 2 * i, x));
  assert.deepEqual(hostArray(await readNifti(big)), Int16Array.of(1, 2, 3, 4, 5, 6));
  await assert.rejects(
    readNifti(plain.slice(0, 360)),
    /need 12 bytes from byte 352, the file has 360/,
  );
  await assert.rejects(readNifti(plain.slice(0, 100)), /does not begin with the 348-byte header/);
  await assert.rejects(
    readNifti(gzip.slice(0, 40), { source: "a.nii.gz" }),
    /"a.nii.gz": its gzip data is damaged/,
  );
  const text = plain.slice();
  new DataView(text.buffer).setInt16(70, 128, true);
  await assert.rejects(readNifti(text), /its data type is 128/);
});
