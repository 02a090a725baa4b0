import assert from "node:assert/strict";
import {
  type Grid,
  type PosEmbedConvention,
  posEmbedConventions,
  resizePosEmbed,
  sinCosPosEmbed,
} from "../../pipelines/models/pos_embed.ts";
import { GoldenFile, maxDifference } from "../golden_file.ts";
import { assertInputError } from "./io_fixtures.ts";

// Both sides interpolate in float64 and round once, so they differ where the sums' last bits straddle a rounding
// boundary of float32: one ulp of values below 0.125.
const TOLERANCE = 2 ** -27;

function assertClose(got: Float32Array, want: Float32Array, what: string): void {
  const error = maxDifference(got, want);
  assert.ok(error <= TOLERANCE, `${what}: ${error} is ${error / TOLERANCE} of the tolerance`);
}

/** A table of one channel whose value is affine in the row and the column of the patch. */
function affineTable([height, width]: Grid): Float32Array {
  return Float32Array.from(
    { length: height * width },
    (_, i) => 100 * Math.floor(i / width) + i % width,
  );
}

Deno.test("resizePosEmbed() gives the reference's table when the grid of CLIP is not native", () => {
  const golden = new GoldenFile("pos_embed");
  const table = golden.f32("clip.table").data;
  const grids = { prefix: 1, from: [4, 4], to: [6, 4], width: 128 } as const;
  for (const convention of ["hf", "mmseg", "brainsail"] as const) {
    assertClose(
      resizePosEmbed(table, { ...grids, convention }),
      golden.f32("clip.rect.size").data,
      convention,
    );
  }
  for (const convention of ["naclip", "dinov2", "dino"] as const) {
    assertClose(
      resizePosEmbed(table, { ...grids, convention }),
      golden.f32("clip.rect.naclip").data,
      convention,
    );
  }
});

Deno.test("resizePosEmbed() gives the reference's table when DINOv2 has registers", () => {
  const golden = new GoldenFile("pos_embed");
  const table = golden.f32("dinov2_reg.table").data;
  for (const convention of ["dinov2_reg", "timm"] as const) {
    for (const to of [[11, 9], [3, 4]] as const) {
      const got = resizePosEmbed(table, { prefix: 1, from: [7, 7], to, width: 128, convention });
      const name = `dinov2_reg.${to.join("x")}`;
      assertClose(got, golden.f32(name).data, `${convention} ${name}`);
    }
  }
});

Deno.test("resizePosEmbed() samples a square and keeps its top left corner when the family is RADIO", () => {
  const from = [16, 16] as const;
  const to = [4, 8] as const;
  const options = { prefix: 0, from, to, width: 1 };
  const got = resizePosEmbed(affineTable(from), { ...options, convention: "radio" });
  assert.equal(got.length, 32);
  for (const [i, value] of got.entries()) {
    // Bilinear is exact on affine tables: sample (i + 0.5) * 16 / 8 - 0.5 on both axes, 8 being the longer side.
    const [y, x] = [Math.floor(i / 8), i % 8].map((at) => (at + 0.5) * 2 - 0.5);
    assert.equal(value, 100 * y + x);
  }
  const older = resizePosEmbed(affineTable(from), {
    ...options,
    convention: "radio_align_corners",
  });
  for (const [i, value] of older.entries()) {
    const [y, x] = [Math.floor(i / 8), i % 8].map((at) => at * 15 / 7);
    assert.ok(Math.abs(value - (100 * y + x)) < 1e-4); // values to 643: ulp 6e-5
  }
});

Deno.test("resizePosEmbed() returns the table when the grid is the same", () => {
  const table = Float32Array.from({ length: 7 * 2 }, (_, i) => Math.sin(i));
  for (const convention of posEmbedConventions) {
    const options = { prefix: 1, from: [2, 3], to: [2, 3], width: 2, convention } as const;
    const same = resizePosEmbed(table, options);
    assert.deepEqual(same, table, convention);
    assert.notEqual(same.buffer, table.buffer);
  }
});

Deno.test("resizePosEmbed() leaves the table alone for NACLIP alone when only the count fits", () => {
  const table = affineTable([4, 4]);
  const turned = (convention: PosEmbedConvention) =>
    resizePosEmbed(table, { prefix: 0, from: [4, 4], to: [2, 8], width: 1, convention });
  assert.deepEqual(turned("naclip"), table);
  for (const convention of posEmbedConventions) {
    if (convention === "naclip" || convention === "none") continue;
    assert.notDeepEqual(turned(convention), table, convention);
  }
});

Deno.test("resizePosEmbed() keeps every prefix row as it is", () => {
  const prefix = Float32Array.of(7, 8, 9, 10, 11);
  const table = Float32Array.from([...prefix, ...affineTable([3, 3])]);
  for (const convention of posEmbedConventions) {
    if (convention === "none") continue;
    const options = { prefix: 5, from: [3, 3], to: [4, 5], width: 1, convention } as const;
    const got = resizePosEmbed(table, options);
    assert.equal(got.length, 25);
    assert.deepEqual(got.subarray(0, 5), prefix);
  }
});

Deno.test("resizePosEmbed() refuses a table of another size, and another grid when told none", () => {
  const options = { prefix: 0, from: [2, 2], to: [3, 2], width: 1, convention: "none" } as const;
  assertInputError(() => resizePosEmbed(new Float32Array(4), options), /3x2 patches.*on 2x2/);
  assertInputError(() => resizePosEmbed(new Float32Array(5), options), /need 4 values, got 5/);
});

Deno.test("sinCosPosEmbed() gives MAE's table, columns first", () => {
  const golden = new GoldenFile("pos_embed");
  const small = golden.f32("mae.4x4").data;
  assert.equal(maxDifference(small.subarray(0, 128), new Float32Array(128)), 0); // class token
  // Values up to 1: half an ulp of float32 is 6e-8 below 1.
  assert.ok(maxDifference(sinCosPosEmbed(128, 4, 4), small.subarray(128)) <= 6e-8);
  const large = sinCosPosEmbed(768, 14, 14);
  const rows = golden.f32("mae.14x14.some_rows").data; // rows of the table with its class token
  for (const [i, row] of [0, 1, 14, 15, 100, 196].entries()) {
    const want = rows.subarray(i * 768, (i + 1) * 768);
    const got = row === 0 ? new Float32Array(768) : large.subarray((row - 1) * 768, row * 768);
    assert.ok(maxDifference(got, want) <= 6e-8, `row ${row}`);
  }
  assertInputError(() => sinCosPosEmbed(6, 2, 2), /multiple of 4, got 6/);
});

Deno.test("sinCosPosEmbed() encodes columns and rows by their own counts when the grid is not square", () => {
  const wide = sinCosPosEmbed(8, 2, 3);
  const square = sinCosPosEmbed(8, 3, 3);
  assert.deepEqual(wide, square.subarray(0, 2 * 3 * 8));
});
