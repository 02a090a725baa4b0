/**
 * What can be seen in images without a network, and tests by exchanged signs.
 */
import assert from "node:assert/strict";
import {
  contrastCenter,
  directionEnergies,
  hueShares,
  quarterEnergies,
  randomKey,
  signFlipTest,
} from "../../mod.ts";
import { assertInputError } from "./io_fixtures.ts";

const SIDE = 24;

/** An image from a function of row and column. */
function drawn(color: (y: number, x: number) => readonly [number, number, number]) {
  const data = new Float32Array(3 * SIDE * SIDE);
  for (let p = 0; p < SIDE * SIDE; p++) {
    color(Math.floor(p / SIDE), p % SIDE).forEach((v, c) => data[c * SIDE * SIDE + p] = v);
  }
  return { height: SIDE, width: SIDE, data };
}

const gray = (v: number) => [v, v, v] as const;
const near = (got: number, want: number, by: number) =>
  assert(Math.abs(got - want) < by, `${got} ${want}`);

Deno.test("directionEnergies() finds the direction of waves", () => {
  for (let k = 0; k < 8; k++) {
    const angle = k * Math.PI / 8;
    const waves = drawn((y, x) =>
      gray(0.5 + 0.4 * Math.cos((x * Math.cos(angle) + y * Math.sin(angle)) * 0.6))
    );
    const [own, across, halfway] = directionEnergies(
      waves,
      [0, 2, 1].map((q) => angle + q * Math.PI / 4),
    );
    // central differences of a wave are along it, but for their sines: sin(0.6 cos) / sin(0.6 sin) turns them by up to 2 %
    near(own, 1, 0.02);
    near(across, 0, 0.02);
    near(halfway, 0.5, 0.1);
  }
  const flat = drawn(() => gray(0.3));
  assert.deepEqual(directionEnergies(flat), [0.5, 0.5, 0.5, 0.5]);
});

Deno.test("hueShares() finds pure colours and counts chroma, not area", () => {
  const pure = { red: [1, 0, 0], yellow: [1, 1, 0], green: [0, 1, 0], blue: [0, 0, 1] } as const;
  Object.values(pure).forEach((color, k) => {
    const shares = hueShares(drawn((y) => y < 3 ? color : gray(0.5)));
    // gray has a chroma of 1e-2 or less of 100
    near(shares[k], 1, 1e-3);
  });
  const two = hueShares(drawn((y) => y < SIDE / 2 ? pure.red : pure.blue));
  // LAB chroma of sRGB red is 104.6, of blue 133.8 (Lindbloom)
  near(two[0], 104.6 / (104.6 + 133.8), 2e-3);
  assert.deepEqual(hueShares(drawn(() => gray(0))), [0.25, 0.25, 0.25, 0.25]);
});

Deno.test("quarterEnergies() and contrastCenter() find where something is", () => {
  const dot = drawn((y, x) => gray(y === 17 && x === 5 ? 1 : 0.2));
  assert.deepEqual(quarterEnergies(dot), [0, 0, 1, 0]);
  const [down, right] = contrastCenter(dot);
  near(down, 17.5 / SIDE, 0.5 / SIDE);
  near(right, 5.5 / SIDE, 0.5 / SIDE);
  const flat = drawn(() => gray(0.3));
  assert.deepEqual(quarterEnergies(flat), [0.25, 0.25, 0.25, 0.25]);
  assert.deepEqual(contrastCenter(flat), [0.5, 0.5]);
  assertInputError(() => quarterEnergies({ ...dot, height: 5 }), /5x24.*has 1728 values/);
});

Deno.test("signFlipTest() counts all signs of few differences and draws those of many", () => {
  const key = randomKey(4);
  assert.deepEqual(signFlipTest([1, 2, 3], { key }), { mean: 2, p: 1 / 8 });
  // sums of ±1, ±2, −3: 0 and all above it but one way
  assert.equal(signFlipTest([1, 2, -3], { key }).p, 5 / 8);
  assert.equal(signFlipTest([0, 0], { key }).p, 1);
  const many = Array.from({ length: 40 }, (_, i) => i % 2 ? 1 : -0.5);
  // the sum is 10 with a standard deviation of 5: z = 2, p = 0.028 with a discrete step of 0.5; 4,000 draws have a standard error of 0.0026
  near(signFlipTest(many, { key, nDraws: 4000 }).p, 0.028, 0.009);
  assertInputError(() => signFlipTest([], { key }), /0 differences/);
  assertInputError(() => signFlipTest([NaN], { key }), /all finite/);
});
