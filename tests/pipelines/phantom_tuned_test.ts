/**
 * Voxels that are tuned to one thing respond to it.
 */
import assert from "node:assert/strict";
import { HUE_ANGLES } from "../../mod.ts";
import { renderScene } from "../../pipelines/phantom/render.ts";
import { randomScene, sceneCategories } from "../../pipelines/phantom/scene.ts";
import {
  N_PIXEL_VARIABLES,
  pixelVariables,
  TUNED_VARIABLES,
} from "../../pipelines/phantom/tuned_variables.ts";
import {
  measuredResponses,
  roiMeans,
  tunedSubject,
  tunedVariablesOf,
  tunedVoxelResponses,
  variableMoments,
} from "../../pipelines/phantom/tuned_voxels.ts";
import { assertInputError } from "./io_fixtures.ts";

const SIDE = 64, PLANE = SIDE * SIDE;
const numberOf = (kind: string, name: string) =>
  TUNED_VARIABLES.findIndex((v) => v.kind === kind && v.name === name);

function variablesOf(color: (y: number, x: number) => readonly number[]): Float64Array {
  const data = new Float32Array(3 * PLANE);
  for (let p = 0; p < PLANE; p++) {
    color(Math.floor(p / SIDE), p % SIDE).forEach((v, c) => data[c * PLANE + p] = v);
  }
  return pixelVariables(data, SIDE);
}

const highest = (variables: Float64Array, from: number) => {
  const some = variables.subarray(from, from + 4);
  return some.indexOf(Math.max(...some));
};

Deno.test("pixelVariables() tells directions, hues and places", () => {
  for (let k = 0; k < 4; k++) {
    const angle = k * Math.PI / 4;
    const waves = variablesOf((y, x) => {
      const v = 0.5 + 0.3 * Math.cos(2 * Math.PI * (x * Math.cos(angle) + y * Math.sin(angle)) / 6);
      return [v, v, v];
    });
    assert.equal(highest(waves, numberOf("orientation", "0")), k);
    assert(waves[k] > 0.9); // of all energy; filters 45 degrees away pass 1 % of it
    const at = (y: number, x: number) => 2 * Number(y >= 32) + Number(x >= 32) === k;
    const dotted = variablesOf((y, x) => {
      const v = at(y, x) && (y + x) % 3 === 0 ? 0.9 : 0.4;
      return [v, v, v];
    });
    assert.equal(highest(dotted, numberOf("position", "top left")), k);
    const color = [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]][k];
    assert.equal(highest(variablesOf(() => color), numberOf("hue", "red")), k);
  }
  assert.deepEqual(Object.keys(HUE_ANGLES), TUNED_VARIABLES.slice(4, 8).map(({ name }) => name));
  const flat = variablesOf(() => [0.5, 0.5, 0.5]);
  assert(flat.every((v) => Math.abs(v) < 1e-12));
  assertInputError(() => pixelVariables(new Float32Array(3), 1), /side from 11, has 3 values/);
});

Deno.test("tuned subjects respond most to what their regions are tuned to, each with its own noise", () => {
  const scenes = Array.from({ length: 60 }, (_, i) => randomScene(1, i));
  const variables = scenes.map((scene) => tunedVariablesOf(scene, renderScene(scene)));
  variables.forEach((row, i) => {
    const present = sceneCategories(scenes[i]);
    TUNED_VARIABLES.slice(N_PIXEL_VARIABLES).forEach(({ name }, k) => {
      // an object may be hidden by those before it, but none is seen that is not there
      if (row[N_PIXEL_VARIABLES + k] > 0) assert(present.some((category) => category === name));
    });
  });
  const moments = variableMoments(variables);
  const [first, second] = [0, 1].map((s) => tunedSubject(7, s));
  assert.notDeepEqual(first.weights, second.weights);
  assert.deepEqual(tunedSubject(7, 0), first);
  const exact = tunedVoxelResponses(first, variables, moments);
  const nRois = TUNED_VARIABLES.length, rois = roiMeans(first, exact);
  assert.deepEqual(rois.shape, [60, nRois]);
  for (let r = 0; r < nRois; r++) {
    let product = 0, square = 0;
    variables.forEach((row, i) => {
      const z = (row[r] - moments.mean[r]) / moments.sd[r], y = rois.data[i * nRois + r];
      product += z * y / 60;
      square += y * y / 60;
    });
    // 17 other weights of 0.12 / √6 each leave a correlation of 1 / √(1 + 17 · 0.0024) = 0.98 where variables are independent
    assert(product / Math.sqrt(square) > 0.85, `${TUNED_VARIABLES[r].name}`);
  }
  const measured = measuredResponses(first, exact, [7, 0]);
  assert.deepEqual(measuredResponses(first, exact, [7, 0]), measured);
  let noise = 0;
  measured.data.forEach((v, i) => noise += (v - exact.data[i]) ** 2);
  const sd = first.noise.reduce((sum, v) => sum + v * v, 0) / first.noise.length;
  const ratio = noise / measured.data.length / sd; // over 60 · 108 draws: a standard error of 2 %
  assert(Math.abs(ratio - 1) < 0.08, `${ratio}`);
  assertInputError(() => tunedVoxelResponses(first, [[1]], moments), /18 variables each, got 1/);
});
