import { foldIn, type Key, normal } from "../../engine/random.ts";
import { type HostTensor, hostTensor, type StateDict, toFloat32 } from "../io/state_dict.ts";

/** What of a network stays trained where the rest is drawn at random. */
export type TrainedPart = "nothing" | "patch-embed" | "first-block";

/** All of {@link TrainedPart}. */
export const trainedParts: readonly TrainedPart[] = ["nothing", "patch-embed", "first-block"];

/** Means and deviations of the pixels: what the input is, not what was learned. */
const CONSTANT = /(^|\.)(norm_mean|norm_std)$/;
/** Where patches become tokens, in the names of every layout. */
const PATCH_EMBED = /(^|\.)(conv1|patch_embed|patch_embedding|patch_embeddings|patch_generator)\./;
/** The first block. */
const FIRST_BLOCK = /(^|\.)(blocks|resblocks|layers?)\.0\./;
/** Class tokens, registers, positions and the like. */
const TOKEN = /(token|embed)[^.]*$/;

function isTrained(name: string, part: TrainedPart): boolean {
  if (CONSTANT.test(name)) return true;
  if (part === "nothing") return false;
  return PATCH_EMBED.test(name) || (part === "first-block" && FIRST_BLOCK.test(name));
}

/**
 * The same network before training: weights, positions and tokens are normal draws of the size (root mean square) that they have in the
 * trained one, biases are 0 and the weights of norms 1. Layer scales and temperatures stay, because at the sizes they are begun with a
 * network passes its input through.
 *
 * Comparing with it tells what training gave a network from what its architecture gives (ncut_pytorch's `Rand` variants of backbones).
 *
 * @param state a checkpoint in any layout that `loadModel` knows
 * @param trained what is taken over from the checkpoint
 */
export function randomWeights(
  state: StateDict,
  key: Key,
  { trained = "nothing" }: { readonly trained?: TrainedPart } = {},
): StateDict {
  const names = [...state.keys()].sort(); // draws must not follow the order in the file
  return new Map(names.map((name, i) => {
    const tensor = state.get(name)!;
    return [name, isTrained(name, trained) ? tensor : drawn(name, tensor, foldIn(key, i))];
  }));
}

function drawn(name: string, tensor: HostTensor, key: Key): HostTensor {
  const { dtype, shape } = tensor;
  if (!/f\d/.test(dtype)) return tensor; // indices of positions, as OpenCLIP and transformers keep them
  const values = toFloat32(tensor);
  const isVector = shape.filter((length) => length > 1).length < 2;
  if (/(^|[._])bias$/.test(name)) return hostTensor(new Float32Array(values.length), shape);
  if (isVector && /\.weight$/.test(name)) {
    return hostTensor(new Float32Array(values.length).fill(1), shape);
  }
  if (isVector && !TOKEN.test(name)) return tensor;
  const square = values.reduce((sum, value) => sum + value * value, 0);
  const size = Math.sqrt(square / Math.max(1, values.length));
  return hostTensor(normal(key, values.length).map((value) => value * size), shape);
}
