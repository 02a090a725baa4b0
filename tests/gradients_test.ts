/**
 * Every differentiable op against central differences of its float64 definition.
 */
import assert from "node:assert/strict";
import { gradcheck } from "./gradcheck.ts";
import { channelNormCases } from "./gradient_cases/channel_norm.ts";
import { attentionCases } from "./gradient_cases/attention.ts";
import { convCases } from "./gradient_cases/conv.ts";
import { elementwiseCases } from "./gradient_cases/elementwise.ts";
import { linalgCases } from "./gradient_cases/linalg.ts";
import { matmulCases } from "./gradient_cases/matmul.ts";
import { normCases } from "./gradient_cases/norm.ts";
import { patchifyCases } from "./gradient_cases/patchify.ts";
import { poolCases } from "./gradient_cases/pool.ts";
import { reduceCases } from "./gradient_cases/reduce.ts";
import { resizeCases } from "./gradient_cases/resize.ts";
import { shapeCases } from "./gradient_cases/shape.ts";
import { sortCases } from "./gradient_cases/sort.ts";
import { warpCases } from "./gradient_cases/warp.ts";
import { openTestGpu } from "./_gpu.ts";

const gpu = await openTestGpu();

for (
  const test of [
    ...elementwiseCases,
    ...matmulCases,
    ...normCases,
    ...attentionCases,
    ...patchifyCases,
    ...linalgCases,
    ...convCases,
    ...resizeCases,
    ...poolCases,
    ...channelNormCases,
    ...shapeCases,
    ...reduceCases,
    ...sortCases,
    ...warpCases,
  ]
) {
  Deno.test(`gradient of ${test.name}`, async () => {
    await gradcheck(gpu, test);
    assert.equal(gpu.liveBytes, 0);
  });
}

Deno.test("close the device", () => gpu[Symbol.dispose]());
