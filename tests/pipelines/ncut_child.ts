/** A cut with a checkpoint as a program, to be killed: `ncut_child.ts METHOD CHECKPOINT OUT`. */
import { Gpu } from "../../engine/gpu.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { Ncut } from "../../pipelines/spectral/ncut.ts";

const [method, checkpoint, out] = Deno.args;
using gpu = await Gpu.open();
const n = 6000, d = 8;
const nodes = { data: normal(randomKey(4), n * d), shape: [n, d] as const };
using cut = await new Ncut(gpu, {
  ...{ nEig: 4, nLandmarks: 40, chunkSize: 64 },
  ...(method === "neighbors" ? { extension: "neighbors" as const } : {}),
}).fit(nodes, { checkpoint });
Deno.writeFileSync(out, new Uint8Array(cut.eigvec.data.buffer));
