/**
 * `gyrus features` over a thousand images: memory is that of one batch, on the device and on the host.
 */
import assert from "node:assert/strict";
import v8 from "node:v8";
import vm from "node:vm";
import { Tensor } from "../../engine/tensor.ts";
import { main } from "../../pipelines/cli/main.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { NpyWriter } from "../../pipelines/io/npy.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { openMethodGpu } from "../_gpu.ts";
import { TestFolder } from "./io_fixtures.ts";
import { toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";

(await openMethodGpu())[Symbol.dispose](); // the command opens its own

const N = 1000;
const SIDE = 48;
const BATCH = 4;
/** Batches at which memory is compared: those of the hundredth and of the last image. */
const MARKS = [100 / BATCH, N / BATCH - 1];

v8.setFlagsFromString("--expose-gc");
const collectGarbage: () => void = vm.runInNewContext("gc");

/** What the process and the device hold when a batch begins. */
interface Held {
  readonly live: number;
  readonly pool: number;
  readonly host: number;
}

/** Runs a command and notes at every batch of pixels what is held. */
async function holding(args: readonly string[]): Promise<Held[]> {
  const held: Held[] = [];
  const { from } = Tensor;
  const { log, error } = console;
  const lines: unknown[] = [];
  Tensor.from = (...given) => {
    const tensor = from.apply(Tensor, given);
    if (given[2]?.length === 4 && given[2][3] === SIDE) {
      const { liveBytes: live, pool: { heldBytes: pool } } = tensor.gpu;
      const isMark = held.length === MARKS[0] || held.length === MARKS[1];
      if (isMark) collectGarbage();
      held.push({ live, pool, host: isMark ? Deno.memoryUsage().rss : NaN });
    }
    return tensor;
  };
  console.log = console.error = (line: unknown) => lines.push(line);
  try {
    assert.equal(await main([...args, "--json"]), 0, lines.join("\n"));
  } finally {
    Tensor.from = from;
    Object.assign(console, { log, error });
  }
  return held;
}

Deno.test("features of 1,000 images, distilled, hold no more at the last image than at the hundredth", async () => {
  using folder = new TestFolder();
  const { keys, config } = models.clip.layouts[0];
  saveSafetensors(folder.at("clip.safetensors"), toStateDict(keys));
  folder.write("clip.config.json", JSON.stringify(config));
  {
    using images = new NpyWriter(folder.at("images.npy"), {
      shape: [N, SIDE, SIDE, 3],
      dtype: "u8",
    });
    const image = new Uint8Array(SIDE * SIDE * 3);
    for (let i = 0; i < N; i++) images.append(image.map((_, j) => (i * 7 + j * 31) % 256));
    images.commit();
  }
  const held = await holding([
    ...["features", "--model", folder.at("clip.safetensors"), "--images", folder.at("images.npy")],
    ...["--size", `${SIDE}`, "--batch", `${BATCH}`, "--save", "dense", "--dense", "naclip"],
    ...["--distill", "2"],
    ...["--checkpoint", folder.at("run.log"), "--out", folder.at("out.h5")],
  ]);
  assert.equal(held.length, N / BATCH);
  const [early, late] = MARKS.map((batch) => held[batch]);
  assert.deepEqual([late.live, late.pool], [early.live, early.pool]);
  // Pixels (25 MB) and features (6 MB) of 900 images went by. Half is allowed: code that is compiled late and what
  // allocators keep is 7 MB here, and no more than 9 at twice the images.
  const grown = late.host - early.host;
  assert.ok(grown < 16e6, `the process grew by ${grown} bytes`);
  using file = await Hdf5File.open(folder.at("out.h5"));
  assert.deepEqual(file.info("/dense").shape, [N, 12, 12, 12]);
});
