/**
 * Pictures of surfaces and volumes, whose pixels can be said beforehand.
 *
 * @module
 */
import assert from "node:assert/strict";
import { InputError } from "../../pipelines/errors.ts";
import { colormapTable } from "../../pipelines/images/colormap.ts";
import { renderSurface } from "../../pipelines/images/render_surface.ts";
import type { RgbImage } from "../../pipelines/images/rgb_image.ts";
import {
  sampleVolume,
  sampleVolumeColors,
  voxelsAtPoints,
} from "../../pipelines/images/sample_volume.ts";
import {
  curvatureColors,
  outlineRegions,
  vertexColors,
} from "../../pipelines/images/vertex_colors.ts";
import { volumeColorMosaic, volumeMosaic } from "../../pipelines/images/volume_mosaic.ts";
import { pickVertices, type Surface } from "../../pipelines/io/mesh.ts";
import { parseNiftiHeader, readNifti, writeNifti } from "../../pipelines/io/nifti.ts";
import { NiftiFile } from "../../pipelines/io/nifti_file.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { readNsdCoordinates } from "../../pipelines/nsd/surface_coordinates.ts";
import { TestFolder } from "./io_fixtures.ts";

const pixel = ({ width, data }: RgbImage, x: number, y: number) => [
  ...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3),
];

function mesh(vertices: readonly number[], faces: readonly number[]): Surface {
  return { vertices: Float32Array.from(vertices), faces: Uint32Array.from(faces) };
}

const RED = [255, 0, 0];
const GREEN = [0, 255, 0];
const BLUE = [0, 0, 255];

/** A box between −1 and 1 whose six sides have vertices of their own, so that each has a colour. */
function box(): { surface: Surface; colors: Uint8Array } {
  const vertices: number[] = [];
  const faces: number[] = [];
  const colors: number[] = [];
  // −x red, +x green, −y blue, +y yellow, −z cyan, +z magenta.
  const paint = [RED, GREEN, BLUE, [255, 255, 0], [0, 255, 255], [255, 0, 255]];
  for (let side = 0; side < 6; side++) {
    const axis = side >> 1;
    const first = vertices.length / 3;
    for (const [u, v] of [[-1, -1], [1, -1], [1, 1], [-1, 1]]) {
      const at = [0, 0, 0];
      at[axis] = side % 2 === 0 ? -1 : 1;
      at[(axis + 1) % 3] = u;
      at[(axis + 2) % 3] = v;
      vertices.push(...at);
      colors.push(...paint[side]);
    }
    faces.push(first, first + 1, first + 2, first, first + 2, first + 3);
  }
  return { surface: mesh(vertices, faces), colors: Uint8Array.from(colors) };
}

Deno.test("renderSurface() shows each side of a box from the view that faces it", () => {
  const { surface, colors } = box();
  const middle = (view: Parameters<typeof renderSurface>[2]) => {
    const image = renderSurface(surface, colors, { size: 40, ...view });
    assert.deepEqual([image.width, image.height], [40, 40]);
    return pixel(image, 20, 20);
  };
  assert.deepEqual(middle({ view: "lateral", hemisphere: "left" }), RED);
  assert.deepEqual(middle({ view: "medial", hemisphere: "left" }), GREEN);
  assert.deepEqual(middle({ view: "lateral", hemisphere: "right" }), GREEN);
  assert.deepEqual(middle({ view: "medial", hemisphere: "right" }), RED);
  assert.deepEqual(middle({ view: "posterior" }), BLUE);
  assert.deepEqual(middle({ view: "anterior" }), [255, 255, 0]);
  assert.deepEqual(middle({ view: "ventral" }), [0, 255, 255]);
  assert.deepEqual(middle({ view: "dorsal" }), [255, 0, 255]);
});

Deno.test("renderSurface() has the front of the left hemisphere on the left, and shades what is oblique", () => {
  // A strip along y, coloured from red (back) to blue (front), facing −x.
  const strip = mesh([0, -2, 0, 0, 2, 0, 0, 2, 1, 0, -2, 1], [0, 1, 2, 0, 2, 3]);
  const colors = Uint8Array.from([...RED, ...BLUE, ...BLUE, ...RED]);
  const lateral = renderSurface(strip, colors, { size: 48 });
  const row = lateral.height >> 1;
  assert.ok(pixel(lateral, 6, row)[2] > 230 && pixel(lateral, 41, row)[0] > 230);
  const medial = renderSurface(strip, colors, { size: 48, view: "medial" });
  assert.ok(pixel(medial, 6, row)[0] > 230 && pixel(medial, 41, row)[2] > 230);
  // Turned by 60° about z: cos = 0.5, so a shading of 0.4 leaves 0.6 + 0.4 · 0.5 = 0.8 of 255 = 204.
  const turned = mesh(
    [0, 0, 0, Math.sqrt(3), 1, 0, Math.sqrt(3), 1, 1, 0, 0, 1],
    [0, 1, 2, 0, 2, 3],
  );
  const white = new Uint8Array(12).fill(255);
  const image = renderSurface(turned, white, { size: 48, shading: 0.4 });
  assert.deepEqual(pixel(image, image.width >> 1, image.height >> 1), [204, 204, 204]);
});

Deno.test("renderSurface() draws the nearest of two triangles, in whichever order they come", () => {
  const near = [-1, -1, -1, -1, 1, -1, -1, 0, 1];
  const far = [1, -1, -1, 1, 1, -1, 1, 0, 1];
  const colors = Uint8Array.from([RED, RED, RED, GREEN, GREEN, GREEN].flat());
  for (const faces of [[0, 1, 2, 3, 4, 5], [3, 4, 5, 0, 1, 2], [2, 1, 0, 5, 4, 3]]) {
    const from = (view: "lateral" | "medial") => {
      const image = renderSurface(mesh([...near, ...far], faces), colors, {
        size: 32,
        view,
        shading: 0,
      });
      return pixel(image, 16, 20);
    };
    assert.deepEqual(from("lateral"), RED);
    assert.deepEqual(from("medial"), GREEN);
  }
  const image = renderSurface(mesh(near, [0, 1, 2]), colors.subarray(0, 9), {
    size: 32,
    background: [1, 2, 3],
  });
  assert.deepEqual(pixel(image, 0, 0), [1, 2, 3]);
  // The edge is a mixture: neither colour alone everywhere.
  const mixed = Array.from({ length: image.width }, (_, x) => pixel(image, x, 20)[0])
    .filter((red) => red > 1 && red < 255);
  assert.ok(mixed.length > 0);
});

Deno.test("renderSurface() draws a flat patch unshaded, x to the right and y up", () => {
  const n = 8; // vertices along a side, 1 apart; pixels are 1 apart too: 7 + 2 · 4 margin = 15, at least 16
  const vertices: number[] = [];
  const faces: number[] = [];
  const colors = new Uint8Array(3 * n * n);
  for (let v = 0; v < n * n; v++) {
    vertices.push(v % n, Math.floor(v / n), 0);
    colors.set([30 * (v % n), 30 * Math.floor(v / n), 77], 3 * v);
    if (v % n < n - 1 && v < n * (n - 1)) faces.push(v, v + 1, v + n, v + 1, v + n + 1, v + n);
  }
  const image = renderSurface(mesh(vertices, faces), colors, { size: 7 * 10 + 8, view: "ventral" });
  assert.deepEqual([image.width, image.height], [78, 78]);
  for (const [x, y] of [[1, 1], [3, 2], [6, 5]]) {
    const [red, green, blue] = pixel(image, 4 + 10 * x, 77 - (4 + 10 * y));
    // Half a pixel is 1/20 of the way to the next vertex, 1.5 of 255, and rounding 0.5.
    assert.ok(Math.abs(red - 30 * x) <= 2 && Math.abs(green - 30 * y) <= 2, `${red} ${green}`);
    assert.equal(blue, 77);
  }
});

Deno.test("renderSurface() refuses what it cannot draw", () => {
  const { surface, colors } = box();
  for (const size of [15, 5000, 20.5, NaN]) {
    assert.throws(() => renderSurface(surface, colors, { size }), InputError);
  }
  assert.throws(() => renderSurface(surface, colors.subarray(3), {}), /need as many colours/);
  assert.throws(() => renderSurface(mesh([0, 0, 0], [0, 0, 1]), colors, {}), /names vertex 1 of 1/);
  assert.throws(() => renderSurface(mesh([0, 0, NaN], []), colors, {}), /must be finite/);
});

Deno.test("vertexColors() takes the map's colours, and grey by curvature where there is no value", () => {
  const table = colormapTable("viridis");
  const colors = vertexColors([0, 1, NaN, NaN, 9, -9], {
    range: [0, 1],
    underlay: [0, 0, 0.3, -0.3, 0, 0],
  });
  const at = (v: number) => [...colors.subarray(3 * v, 3 * v + 3)];
  const [first, last] = [[...table.subarray(0, 3)], [...table.subarray(765)]];
  assert.deepEqual([at(0), at(1), at(4), at(5)], [first, last, last, first]);
  assert.ok(at(2)[0] < at(3)[0] && new Set(at(2)).size === 1, "sulci are darker, both grey");
  assert.throws(() => vertexColors([1, 2], { underlay: [1] }), /the underlay must have as many/);
});

Deno.test("outlineRegions() draws the vertices of a region next to another, and no others", () => {
  // A strip of vertices 0 … 5, each face three in a row.
  const strip = mesh([0, 1, 2, 3, 4, 5].flatMap((x) => [x, x % 2, 0]), [
    0,
    1,
    2,
    1,
    2,
    3,
    2,
    3,
    4,
    3,
    4,
    5,
  ]);
  const colors = new Uint8Array(18).fill(7);
  const drawn = (labels: number[]) =>
    [...outlineRegions(colors, labels, strip, { color: [1, 1, 1] })].filter((_, i) => i % 3 === 0);
  assert.deepEqual(drawn([1, 1, 1, 1, 1, 1]), [7, 7, 7, 7, 7, 7]);
  assert.deepEqual(drawn([0, 0, 0, 0, 2, 2]), [7, 7, 7, 7, 1, 1]);
  assert.deepEqual(drawn([1, 1, 1, 1, 1, NaN]), [7, 7, 7, 1, 1, 7]);
  assert.deepEqual(drawn([1, 1, 1, 2, 2, 2]), [7, 1, 1, 1, 1, 7]);
  assert.deepEqual(drawn([0, -1, NaN, 0, 0, 0]), [7, 7, 7, 7, 7, 7]);
  assert.throws(() => outlineRegions(colors, [1], strip), /need as many labels, got 1/);
  const patch = { ...strip, vertexIndex: Uint32Array.of(4, 0) };
  assert.deepEqual([...pickVertices([10, 11, 12, 13, 14], patch)], [14, 10]);
  assert.deepEqual([...pickVertices([...Array(15).keys()], patch, 3)], [12, 13, 14, 0, 1, 2]);
  assert.throws(
    () => pickVertices(Array(14).fill(0), patch, 3),
    /has vertex 4, there are 14 values/,
  );
  assert.throws(() => pickVertices([1], strip), /the surface is whole/);
});

Deno.test("sampleVolume() finds the voxel of each point through the affine matrix", () => {
  // [Z, Y, X] = [2, 3, 4]: cell = (z · 3 + y) · 4 + x.
  const places = { volumeIndex: [0, 5, 23], volumeShape: [2, 3, 4] };
  const values = [10, 20, 30];
  assert.deepEqual(
    [...sampleVolume(
      values,
      [0, 0, 0, 1.4, 0.6, 0.49, 3, 2, 1, 1, 0, 0, -1, 0, 0, NaN, 0, 0],
      places,
    )],
    [10, 20, 30, NaN, NaN, NaN],
  );
  // x and y swapped, voxels of 2 × 3 × 4 mm, moved.
  const affine = [0, 3, 0, 100, 2, 0, 0, -50, 0, 0, 4, 7, 0, 0, 0, 1];
  // Voxel (1, 1, 0) lies at 3 · 1 + 100, 2 · 1 − 50, 7.
  assert.deepEqual([...voxelsAtPoints([103, -48, 7, 106, -44, 11], { ...places, affine })], [1, 2]);
  assert.throws(
    () => sampleVolume(values, [0, 0, 0], { ...places, affine: Array(16).fill(0) }),
    /with an inverse/,
  );
  const colors = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
  const underlay = [0, 0.2, -0.2];
  const sampled = sampleVolumeColors(colors, [3, 2, 1, 9, 9, 9, NaN, 0, 0], {
    ...places,
    underlay,
  });
  assert.deepEqual(sampled, Uint8Array.of(7, 8, 9, ...curvatureColors([0.2, -0.2])));
  assert.throws(
    () => sampleVolumeColors(colors, [0, 0, 0], { ...places, underlay }),
    /got 3 and 3/,
  );
  assert.throws(() => sampleVolumeColors(colors.subarray(3), [], places), /got 2 and none/);
  assert.throws(() => sampleVolume([1], [0, 0, 0], places), /need as many values/);
  assert.throws(
    () => sampleVolume(values, [], { ...places, volumeIndex: [0, 1, 24] }),
    /voxel 2 is in cell 24/,
  );
});

Deno.test("the affine matrix of NIfTI is the sform, else the qform, else the voxel sizes", async () => {
  using folder = new TestFolder();
  const packed = await writeNifti(hostTensor(new Uint8Array(24), [2, 3, 4]), { voxelSize: 1.8 });
  const { header } = await NiftiFile.open(folder.write("a.nii.gz", packed));
  const f = Math.fround(1.8);
  assert.deepEqual(header.affine, [f, 0, 0, 0, 0, f, 0, 0, 0, 0, f, 0, 0, 0, 0, 1]);
  assert.equal((await readNifti(packed)).shape.length, 3);
  const plain = new Uint8Array(
    await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")))
      .arrayBuffer(),
  );
  const view = new DataView(plain.buffer);
  view.setInt16(254, 0, true);
  assert.deepEqual(parseNiftiHeader(plain, "").affine.slice(0, 3), [f, 0, 0]);
  // A quarter turn about z: a = d = √½, so x → y, y → −x; qfac −1 turns z round.
  view.setInt16(252, 1, true);
  [-1, 2, 3, 4].forEach((size, i) => view.setFloat32(76 + 4 * i, size, true));
  [0, 0, Math.SQRT1_2, 11, 12, 13].forEach((value, i) => view.setFloat32(256 + 4 * i, value, true));
  const expected = [0, -3, 0, 11, 2, 0, 0, 12, 0, 0, -4, 13, 0, 0, 0, 1];
  parseNiftiHeader(plain, "").affine.forEach((value, i) => {
    // float32 keeps √½ to 3e-8; the entries are twice its square times at most 4.
    assert.ok(Math.abs(value - expected[i]) < 1e-6, `${i}: ${value}`);
  });
  // NIfTI-2 in big-endian order: wider fields at other places (nifti2.h).
  const second = new DataView(new ArrayBuffer(540));
  second.setInt32(0, 540);
  second.setInt16(12, 2);
  [1n, 1n].forEach((length, i) => second.setBigInt64(16 + 8 * i, length));
  second.setBigInt64(168, 544n);
  second.setInt32(348, 3);
  const rows = Array.from({ length: 12 }, (_, i) => i - 5.5);
  rows.forEach((value, i) => second.setFloat64(400 + 8 * i, value));
  const wide = parseNiftiHeader(new Uint8Array(second.buffer), "").affine;
  assert.deepEqual(wide, [...rows, 0, 0, 0, 1]);
  second.setInt32(348, 0);
  second.setInt32(344, 1);
  [1, 2, 3, 4].forEach((size, i) => second.setFloat64(104 + 8 * i, size));
  [1, 0, 0, 5, 6, 7].forEach((value, i) => second.setFloat64(352 + 8 * i, value)); // half a turn about x
  const turned = parseNiftiHeader(new Uint8Array(second.buffer), "").affine;
  assert.deepEqual(turned.map((value) => value + 0), [
    2,
    0,
    0,
    5,
    0,
    -3,
    0,
    6,
    0,
    0,
    -4,
    7,
    0,
    0,
    0,
    1,
  ]);
});

Deno.test("readNsdCoordinates() counts voxels from 0 and marks what lies outside", async () => {
  using folder = new TestFolder();
  const write = (name: string, nFrames: number, values: number[]) => {
    const view = new DataView(new ArrayBuffer(284 + 4 * values.length));
    [1, 2, 1, 1, nFrames, 3].forEach((word, i) => view.setInt32(4 * i, word));
    values.forEach((value, i) => view.setFloat32(284 + 4 * i, value));
    return folder.write(name, new Uint8Array(view.buffer));
  };
  const path = write("lh.func1pt8-to-layerB2.mgz", 3, [1, 9999, 2.5, 9999, 4, 9999]);
  const points = await readNsdCoordinates(path);
  assert.deepEqual([...points], [0, 1.5, 3, NaN, NaN, NaN]);
  await assert.rejects(readNsdCoordinates(write("one.mgz", 1, [1, 2])), /three frames, it has 1/);
});

Deno.test("volumeMosaic() shows the slices that hold voxels, front and head on top, left on the left", () => {
  // [Z, Y, X] = [4, 3, 2]; voxels at (x 0, y 2, z 1) and (x 1, y 0, z 3).
  const cell = (x: number, y: number, z: number) => (z * 3 + y) * 2 + x;
  const options = {
    volumeIndex: [cell(0, 2, 1), cell(1, 0, 3), cell(0, 0, 0)],
    volumeShape: [4, 3, 2],
    scale: 1,
    columns: 1,
    background: [9, 9, 9],
  } as const;
  const [low, high] = [colormapTable("viridis").slice(0, 3), colormapTable("viridis").slice(765)];
  const values = [0, 1, NaN];
  const axial = volumeMosaic(values, options);
  assert.deepEqual(axial.slices, [1, 3]);
  assert.deepEqual([axial.image.width, axial.image.height], [2 + 4, 2 * 3 + 6]);
  assert.deepEqual(pixel(axial.image, 2, 2), [...low]); // left, front
  assert.deepEqual(pixel(axial.image, 3, 2 + 5 + 2), [...high]); // right, back, second slice
  assert.deepEqual(pixel(axial.image, 3, 2), [9, 9, 9]);
  const coronal = volumeMosaic(values, { ...options, plane: "coronal" });
  assert.deepEqual(coronal.slices, [0, 2]);
  assert.deepEqual(pixel(coronal.image, 3, 2), [...high]); // y 0: right, z 3 on top
  const sagittal = volumeMosaic(values, { ...options, plane: "sagittal" });
  assert.deepEqual(sagittal.slices, [0, 1]);
  assert.deepEqual(pixel(sagittal.image, 2 + 2, 2 + 2), [...low]); // front on the right, z 1 third from top
  // The same volume stored from right to left.
  const affine = [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
  const turned = volumeMosaic(values, { ...options, affine });
  assert.deepEqual(pixel(turned.image, 3, 2), [...low]);
  assert.deepEqual(volumeMosaic(values, { ...options, maxSlices: 1 }).slices, [3]);
});

Deno.test("volumeColorMosaic() draws colours over grey anatomy", () => {
  const anatomy = Array.from({ length: 24 }, (_, i) => i);
  const { image, slices } = volumeColorMosaic(Uint8Array.from(RED), {
    volumeIndex: [7],
    volumeShape: [2, 3, 4],
    anatomy,
    scale: 2,
  });
  assert.deepEqual(slices, [0]);
  // Cell 7 is x 3, y 1; the picture has 4 × 3 voxels of 2 pixels and a gap of 2.
  assert.deepEqual(pixel(image, 2 + 6, 2 + 2), RED);
  assert.deepEqual(pixel(image, 2 + 7, 2 + 3), RED);
  const [grey, ...rest] = pixel(image, 2 + 4, 2 + 2); // cell 6
  assert.ok(grey > 0 && grey < 255 && rest.every((value) => value === grey));
  const options = { volumeIndex: [7], volumeShape: [2, 3, 4] };
  const red = Uint8Array.from(RED);
  assert.throws(
    () => volumeColorMosaic(red, { ...options, anatomy: [1] }),
    /must have the 24 voxels/,
  );
  assert.throws(() => volumeColorMosaic(red, { ...options, scale: 0 }), InputError);
  assert.throws(() => volumeMosaic([NaN], options), /no voxel has a value/);
  assert.throws(() => volumeMosaic([1, 2], options), /need as many colours/);
  assert.throws(
    () => volumeMosaic([1], { ...options, affine: Array(16).fill(0) }),
    /affine matrix is/,
  );
});
