/**
 * The UNets that are timed, at the sizes of their publications.
 *
 * @module
 */
import { randomKey } from "../engine/random.ts";
import type { StateDict } from "../pipelines/io/state_dict.ts";
import { drawDiffusers } from "./unet_diffusers.ts";
import { NetworkDrawer } from "./unet_draw.ts";

/** A network to time. */
export interface UnetNetwork {
  /** Which. */
  readonly name: UnetName;
  /** What it is, for people. */
  readonly title: string;
  /** `[channels, height, width]` of what goes in. */
  readonly input: readonly [channels: number, height: number, width: number];
  /** `[tokens, width]` of what it attends to. */
  readonly context?: readonly [tokens: number, width: number];
  /** Classes that it is told; 0 where it is told none. */
  readonly numClasses: number;
  /** What its shapes do not tell. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Random weights under the names of the file. */
  readonly stateDict: StateDict;
  /** Operations of one image: convolutions, linear layers, attention; a multiply-add counts twice. */
  readonly flops: number;
}

/** Names of the networks. */
export type UnetName = "mig-vis" | "adm64" | "ddpm32" | "sd15-level" | "sd15";

/** Those that a software adapter runs in seconds; Stable Diffusion 1.5 as a whole takes 0.8 · 10¹² operations. */
export const smallUnets: readonly UnetName[] = ["mig-vis", "adm64", "ddpm32", "sd15-level"];

/** All names. */
export const unetNames: readonly UnetName[] = [...smallUnets, "sd15"];

type Sized = Pick<UnetNetwork, "title" | "input" | "config"> & Partial<UnetNetwork>;

type Channels = readonly [cin: number, cout: number];

const drawGain = (d: NetworkDrawer, name: string, channels: number) =>
  d.draw(`${name}.g`, [1, channels, 1, 1], { mean: 1, spread: 0.1 });

function drawMigVisBlock(
  d: NetworkDrawer,
  name: string,
  { channels: [cin, cout], places }: { readonly channels: Channels; readonly places: number },
): void {
  d.layer(`${name}.mlp.1`, [2 * cout, 256], 1);
  d.layer(`${name}.block1.proj`, [cout, cin, 3, 3], places);
  drawGain(d, `${name}.block1.norm`, cout);
  d.layer(`${name}.block2.proj`, [cout, cout, 3, 3], places);
  drawGain(d, `${name}.block2.norm`, cout);
  if (cin !== cout) d.layer(`${name}.res_conv`, [cout, cin, 1, 1], places);
}

/** Full or linear attention of 4 heads of 32 channels, with 4 learned tokens. */
function drawMigVisAttention(
  d: NetworkDrawer,
  name: string,
  { channels, isFull, places }: { channels: number; isFull: boolean; places: number },
): void {
  const heads = 4, headDim = 32, memory = 4, hidden = heads * headDim;
  drawGain(d, `${name}.norm`, channels);
  d.layer(`${name}.to_qkv`, [3 * hidden, channels, 1, 1], places, { hasBias: false });
  d.draw(`${name}.mem_kv`, [2, heads, ...isFull ? [memory, headDim] : [headDim, memory]]);
  d.layer(isFull ? `${name}.to_out` : `${name}.to_out.0`, [channels, hidden, 1, 1], places);
  if (isFull) return d.attends(places, places + memory, hidden);
  drawGain(d, `${name}.to_out.1`, channels);
  d.flops += 2 * hidden * headDim * (2 * places + memory);
}

/** denoising-diffusion-pytorch's as MIG-Vis has it: dim 64, mults 1, 2, 4, 8, one channel, 128 pixels. */
function drawMigVis(d: NetworkDrawer): Sized {
  const dim = 64, dims = [dim, 64, 128, 256, 512], last = 3, side = (i: number) => 128 >> i;
  const res = (name: string, channels: Channels, places: number) =>
    drawMigVisBlock(d, name, { channels, places });
  const mix = (name: string, channels: number, facts: { isFull: boolean; places: number }) =>
    drawMigVisAttention(d, name, { channels, ...facts });
  d.layer("init_conv", [dim, 1, 7, 7], side(0) ** 2);
  d.layer("time_mlp.1", [4 * dim, dim], 1);
  d.layer("time_mlp.3", [4 * dim, 4 * dim], 1);
  for (let i = 0; i <= last; i++) {
    const [cin, cout] = [dims[i], dims[i + 1]], places = side(i) ** 2, name = `downs.${i}`;
    res(`${name}.0`, [cin, cin], places);
    res(`${name}.1`, [cin, cin], places);
    mix(`${name}.2`, cin, { isFull: i === last, places });
    if (i === last) d.layer(`${name}.3`, [cout, cin, 3, 3], places);
    else d.layer(`${name}.3.1`, [cout, 4 * cin, 1, 1], places / 4);
  }
  const bottom = side(last) ** 2;
  res("mid_block1", [512, 512], bottom);
  mix("mid_attn", 512, { isFull: true, places: bottom });
  res("mid_block2", [512, 512], bottom);
  for (let i = 0; i <= last; i++) {
    const [cin, cout] = [dims[last - i], dims[last - i + 1]], name = `ups.${i}`;
    const places = side(last - i) ** 2;
    res(`${name}.0`, [cout + cin, cout], places);
    res(`${name}.1`, [cout + cin, cout], places);
    mix(`${name}.2`, cout, { isFull: i === 0, places });
    if (i === last) d.layer(`${name}.3`, [cin, cout, 3, 3], places);
    else d.layer(`${name}.3.1`, [cin, cout, 3, 3], 4 * places);
  }
  res("final_res_block", [2 * dim, dim], side(0) ** 2);
  d.layer("final_conv", [1, dim, 1, 1], side(0) ** 2);
  return { title: "MIG-Vis's UNet, 128²", input: [1, 128, 128], config: {} };
}

/** What a block of residuals is made of; `width` is that of the time embedding. */
interface BlockSizes {
  readonly channels: Channels;
  readonly width: number;
  readonly places: number;
}

function drawAdmBlock(
  d: NetworkDrawer,
  key: string,
  { channels: [cin, cout], width, places }: BlockSizes,
): void {
  d.norm(`${key}.in_layers.0`, cin);
  d.layer(`${key}.in_layers.2`, [cout, cin, 3, 3], places);
  d.layer(`${key}.emb_layers.1`, [2 * cout, width], 1);
  d.norm(`${key}.out_layers.0`, cout);
  d.layer(`${key}.out_layers.3`, [cout, cout, 3, 3], places);
  if (cin !== cout) d.layer(`${key}.skip_connection`, [cout, cin, 1, 1], places);
}

/** guided-diffusion's 64x64_diffusion: 192 channels, mults 1 to 4, three blocks a level, attention at 32, 16 and 8 pixels. */
function drawAdm64(d: NetworkDrawer): Sized {
  const base = 192, width = 4 * base, levels = 4, blocks = 3;
  const res = (key: string, channels: Channels, side: number) =>
    drawAdmBlock(d, key, { channels, width, places: side ** 2 });
  const attend = (key: string, c: number, side: number) => {
    d.norm(`${key}.norm`, c);
    d.layer(`${key}.qkv`, [3 * c, c, 1], side ** 2);
    d.layer(`${key}.proj_out`, [c, c, 1], side ** 2);
    d.attends(side ** 2, side ** 2, c);
  };
  d.layer("time_embed.0", [width, base], 1);
  d.layer("time_embed.2", [width, width], 1);
  d.draw("label_emb.weight", [1000, width]);
  d.layer("input_blocks.0.0", [base, 3, 3, 3], 64 ** 2);
  const skips = [base];
  let c = base, n = 1;
  for (let level = 0; level < levels; level++) {
    const side = 64 >> level, cout = base * (level + 1);
    for (let i = 0; i < blocks; i++, n++) {
      res(`input_blocks.${n}.0`, [c, cout], side);
      if (level > 0) attend(`input_blocks.${n}.1`, cout, side);
      skips.push(c = cout);
    }
    if (level < levels - 1) {
      res(`input_blocks.${n++}.0`, [c, c], side / 2);
      skips.push(c);
    }
  }
  res("middle_block.0", [c, c], 8);
  attend("middle_block.1", c, 8);
  res("middle_block.2", [c, c], 8);
  n = 0;
  for (let level = levels - 1; level >= 0; level--) {
    const side = 64 >> level, cout = base * (level + 1);
    for (let i = 0; i <= blocks; i++, n++) {
      res(`output_blocks.${n}.0`, [c + skips.pop()!, cout], side);
      c = cout;
      if (level > 0) attend(`output_blocks.${n}.1`, c, side);
      if (level > 0 && i === blocks) res(`output_blocks.${n}.2`, [c, c], 2 * side);
    }
  }
  d.norm("out.0", c);
  d.layer("out.2", [6, c, 3, 3], 64 ** 2);
  const config = { num_head_channels: 64, use_new_attention_order: true };
  return { title: "ADM, 64², 1000 classes", input: [3, 64, 64], config, numClasses: 1000 };
}

/** google/ddpm-cifar10-32. */
function drawDdpm32(d: NetworkDrawer): Sized {
  drawDiffusers(d, {
    ...{ widths: [128, 256, 256, 256], layers: 2, mixed: [1], mixesUp: true, middle: "whole" },
    ...{ side: 32, channels: 3 },
  });
  const config = {
    ...{ attention_head_dim: null, freq_shift: 1, flip_sin_to_cos: false },
    ...{ downsample_padding: 0, norm_eps: 1e-6 },
  };
  return { title: "DDPM of CIFAR-10, 32²", input: [3, 32, 32], config };
}

const SD_CONTEXT = [77, 768] as const;

/** Stable Diffusion 1.5, whole, or its first level: a residual block with its transformer, and three more blocks around. */
function drawSd15(d: NetworkDrawer, isWhole: boolean): Sized {
  drawDiffusers(d, {
    ...isWhole
      ? { widths: [320, 640, 1280, 1280], layers: 2, mixed: [0, 1, 2], mixesUp: true }
      : { widths: [320], layers: 1, mixed: [0], mixesUp: false },
    ...{ middle: isWhole ? "whole" : "one block", side: 64, channels: 4, context: SD_CONTEXT },
  });
  const title = isWhole ? "Stable Diffusion 1.5, 64²" : "first level of Stable Diffusion 1.5, 64²";
  return { title, input: [4, 64, 64], config: { attention_head_dim: 8 }, context: SD_CONTEXT };
}

/** A network of random weights. */
export function drawUnet(name: UnetName): UnetNetwork {
  const drawer = new NetworkDrawer(randomKey(unetNames.indexOf(name)));
  const made = name === "mig-vis"
    ? drawMigVis(drawer)
    : name === "adm64"
    ? drawAdm64(drawer)
    : name === "ddpm32"
    ? drawDdpm32(drawer)
    : drawSd15(drawer, name === "sd15");
  return { numClasses: 0, ...made, name, stateDict: drawer.stateDict, flops: drawer.flops };
}
