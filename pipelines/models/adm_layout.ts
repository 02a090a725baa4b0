/**
 * The architecture of a UNet or classifier of guided-diffusion (`unet.py`), read off the keys and shapes of a checkpoint: nothing of it is
 * taken on trust but the number of attention heads and the order of their channels, which no shape tells.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { CheckpointKeys } from "./checkpoint_reader.ts";
import { listNames } from "./layouts.ts";

/** A layer of a block, with the beginning of its keys. */
export interface AdmLayer {
  /** What it is: `"average"` and `"nearest"` have no weights. */
  readonly kind: "conv" | "res" | "attention" | "down-conv" | "up-conv" | "average" | "nearest";
  /** Beginning of its keys. */
  readonly key: string;
  /** Of a residual block: whether it halves or doubles the sides. */
  readonly resampling?: "down" | "up";
}

/** Layers of one block, in order. */
export type AdmBlock = readonly AdmLayer[];

/** What a checkpoint's keys say. */
export interface AdmLayout {
  /** Whether it ends in an image (a UNet) or in classes. */
  readonly kind: "unet" | "classifier";
  /** Channels of the first convolution. */
  readonly modelChannels: number;
  /** Channels of each level in units of that. */
  readonly channelMult: readonly number[];
  /** Residual blocks of a level on the way down. */
  readonly numResBlocks: number;
  /** Levels with attention, as the factor between their sides and the image's. */
  readonly attentionFactors: readonly number[];
  /** Channels of the image. */
  readonly inChannels: number;
  /** Channels of the output, or classes. */
  readonly outChannels: number;
  /** Classes that the network is told; 0 where it is told none. */
  readonly numClasses: number;
  /** Whether the time step scales and shifts. */
  readonly useScaleShiftNorm: boolean;
  /** Whether residual blocks resample. */
  readonly resblockUpdown: boolean;
  /** Whether convolutions do where residual blocks do not, or means and repetition. */
  readonly convResample: boolean;
  /** Of a classifier: whether its head attends to all places or takes their mean. */
  readonly pool?: "attention" | "adaptive";
  /** On the way down. */
  readonly inputBlocks: readonly AdmBlock[];
  /** At the bottom. */
  readonly middleBlock: AdmBlock;
  /** On the way up; none of a classifier. */
  readonly outputBlocks: readonly AdmBlock[];
}

/** First key of all of them. */
export const ADM_ANCHOR = "input_blocks.0.0.weight";

/** The kind of a layer by its keys. */
function kindOf(keys: CheckpointKeys, key: string): AdmLayer["kind"] {
  if (keys.shapeOf(`${key}.weight`)) return "conv";
  if (keys.shapeOf(`${key}.in_layers.0.weight`)) return "res";
  if (keys.shapeOf(`${key}.qkv.weight`)) return "attention";
  if (keys.shapeOf(`${key}.op.weight`)) return "down-conv";
  if (keys.shapeOf(`${key}.conv.weight`)) return "up-conv";
  const found = [...keys.stateDict.keys()].filter((name) => name.startsWith(keys.prefix + key));
  throw new InputError(
    `${keys.cannot} "${keys.prefix}${key}" is no layer of guided-diffusion, it has the keys ${
      listNames(found)
    }`,
  );
}

function blockOf(keys: CheckpointKeys, key: string): AdmLayer[] {
  return Array.from({ length: keys.count(key) }, (_, i) => {
    const layer = `${key}.${i}`;
    return { kind: kindOf(keys, layer), key: layer };
  });
}

const attends = (block: AdmBlock) => block.some(({ kind }) => kind === "attention");

/** Whether the blocks on the way down can be levels of so many residual blocks: the last of each level but one only resamples. */
function fits(keys: CheckpointKeys, blocks: readonly AdmBlock[], numResBlocks: number): boolean {
  const period = numResBlocks + 1;
  if (numResBlocks < 1 || blocks.length % period !== 0) return false;
  return blocks.every((block, i) => {
    if (i === 0) return block.length === 1 && block[0].kind === "conv";
    const isDown = i % period === 0, first = block[0]?.kind;
    if (!isDown) {
      const start = Math.floor(i / period) * period + 1;
      return first === "res" && attends(block) === attends(blocks[start]);
    }
    if (block.length === 0) return true; // means of 2×2
    if (block.length > 1 || (first !== "res" && first !== "down-conv")) return false;
    return first === "down-conv" || !keys.shapeOf(`${block[0].key}.skip_connection.weight`);
  });
}

/** Residual blocks of a level. */
function findNumResBlocks(
  keys: CheckpointKeys,
  input: readonly AdmBlock[],
  { output, said }: { readonly output: readonly AdmBlock[]; readonly said?: number },
): number {
  const candidates = input.map((_, i) => i).filter((n) => fits(keys, input, n));
  const firstUp = output.findIndex((block) =>
    block.slice(1).some(({ kind }) => kind === "res" || kind === "up-conv")
  );
  const known = firstUp >= 0 ? firstUp : said;
  const kept = known === undefined ? candidates : candidates.filter((n) => n === known);
  if (kept.length === 1) return kept[0];
  const what = `its ${input.length} input blocks`;
  throw new InputError(
    kept.length === 0
      ? `${keys.cannot} ${what} are no levels of ${
        known === undefined ? "equally many" : known
      } residual blocks each`
      : `${keys.cannot} ${what} may be levels of ${
        kept.join(" or ")
      } residual blocks each; give num_res_blocks`,
  );
}

/** Marks residual blocks that resample, and puts in layers without weights. */
function withResampling(
  blocks: readonly AdmBlock[],
  at: (index: number) => boolean,
  way: "down" | "up",
): AdmBlock[] {
  return blocks.map((block, i) => {
    if (!at(i)) return block;
    const last = block.at(-1);
    if (last?.kind === `${way}-conv`) return block;
    if (last?.kind === "res" && (way === "down" || block.length > 1)) {
      return [...block.slice(0, -1), { ...last, resampling: way }];
    }
    return [...block, { kind: way === "down" ? "average" : "nearest", key: "" }];
  });
}

/**
 * Reads the architecture.
 *
 * @param said residual blocks of a level, for a classifier whose blocks leave it open
 * @throws {InputError} when keys are missing or are no such network's
 */
export function admLayout(keys: CheckpointKeys, said?: number): AdmLayout {
  const blocks = (name: string) =>
    Array.from({ length: keys.count(name) }, (_, i) => blockOf(keys, `${name}.${i}`));
  const input = blocks("input_blocks"), output = blocks("output_blocks");
  const [, inChannels] = keys.needShape(ADM_ANCHOR);
  // The first convolution has as many channels as the first level, which in the released network of 512 pixels are half.
  const [, modelChannels] = keys.needShape("time_embed.0.weight");
  const numResBlocks = findNumResBlocks(keys, input, { output, said });
  const period = numResBlocks + 1, levels = input.length / period;
  if (output.length !== 0 && output.length !== levels * period) {
    throw new InputError(
      `${keys.cannot} it has ${output.length} output blocks, ${levels} levels of ${numResBlocks} residual blocks need ${
        levels * period
      }`,
    );
  }
  const first = (level: number) => input[level * period + 1];
  const isDown = (i: number) => i > 0 && i % period === 0;
  const isUp = (i: number) => (i + 1) % period === 0 && i + 1 < output.length;
  const channelsOf = (block: AdmBlock) => keys.needShape(`${block[0].key}.out_layers.0.weight`)[0];
  const numbers = Array.from({ length: levels }, (_, level) => level);
  const { key } = first(0)[0];
  const isUnet = output.length > 0;
  const head = isUnet ? keys.needShape("out.2.weight")[0] : classesOf(keys);
  return {
    kind: isUnet ? "unet" : "classifier",
    ...{ modelChannels, inChannels, numResBlocks, outChannels: head },
    channelMult: numbers.map((level) => channelsOf(first(level)) / modelChannels),
    attentionFactors: numbers.filter((level) => attends(first(level))).map((level) => 2 ** level),
    numClasses: keys.shapeOf("label_emb.weight")?.[0] ?? 0,
    useScaleShiftNorm: keys.needShape(`${key}.emb_layers.1.weight`)[0] === 2 * channelsOf(first(0)),
    resblockUpdown: input[period]?.[0]?.kind === "res",
    convResample: input[period]?.[0]?.kind === "down-conv",
    ...(isUnet ? {} : { pool: keys.has("out.3.weight") ? "adaptive" : "attention" }),
    inputBlocks: withResampling(input, isDown, "down"),
    middleBlock: blockOf(keys, "middle_block"),
    outputBlocks: withResampling(output, isUp, "up"),
  };
}

/** Classes of a classifier by whichever head it has. */
function classesOf(keys: CheckpointKeys): number {
  for (const name of ["out.2.c_proj.weight", "out.3.weight"]) {
    const shape = keys.shapeOf(name);
    if (shape) return shape[0];
  }
  throw new InputError(
    `${keys.cannot} its head must be an attention pool (out.2.c_proj) or a mean over places (out.3), found ${
      listNames([...keys.stateDict.keys()].filter((key) => key.startsWith(`${keys.prefix}out.`)))
    }`,
  );
}
