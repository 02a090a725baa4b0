/**
 * UNets of diffusers as data: names and shapes of their tensors.
 *
 * @module
 */
import type { NetworkDrawer } from "./unet_draw.ts";

/** What a UNet of diffusers is made of. */
export interface DiffusersSizes {
  /** Channels of the levels. */
  readonly widths: readonly number[];
  /** Residual blocks of a level on the way down. */
  readonly layers: number;
  /** Levels with attention. */
  readonly mixed: readonly number[];
  /** Whether they have it on the way up too. */
  readonly mixesUp: boolean;
  /** Two blocks around attention, or one alone. */
  readonly middle: "whole" | "one block";
  /** Pixels of an image's side. */
  readonly side: number;
  /** Channels of an image. */
  readonly channels: number;
  /** What it attends to. */
  readonly context?: readonly [tokens: number, width: number];
}

interface BlockSizes {
  readonly channels: readonly [cin: number, cout: number];
  readonly width: number;
  readonly places: number;
}

function drawBlock(
  d: NetworkDrawer,
  name: string,
  { channels: [cin, cout], width, places }: BlockSizes,
): void {
  d.norm(`${name}.norm1`, cin);
  d.layer(`${name}.conv1`, [cout, cin, 3, 3], places);
  d.layer(`${name}.time_emb_proj`, [cout, width], 1);
  d.norm(`${name}.norm2`, cout);
  d.layer(`${name}.conv2`, [cout, cout, 3, 3], places);
  if (cin !== cout) d.layer(`${name}.conv_shortcut`, [cout, cin, 1, 1], places);
}

/** Attention over places, or a transformer where there is a context. */
function drawMixing(
  d: NetworkDrawer,
  name: string,
  { c, places, context }: { c: number; places: number; context?: DiffusersSizes["context"] },
): void {
  if (!context) {
    d.norm(`${name}.group_norm`, c);
    for (const part of ["to_q", "to_k", "to_v", "to_out.0"]) {
      d.layer(`${name}.${part}`, [c, c], places);
    }
    return d.attends(places, places, c);
  }
  const at = `${name}.transformer_blocks.0`;
  d.norm(`${name}.norm`, c);
  d.layer(`${name}.proj_in`, [c, c, 1, 1], places);
  for (const [n, [tokens, from]] of [[1, [places, c]], [2, context]] as const) {
    d.norm(`${at}.norm${n}`, c);
    d.layer(`${at}.attn${n}.to_q`, [c, c], places, { hasBias: false });
    d.layer(`${at}.attn${n}.to_k`, [c, from], tokens, { hasBias: false });
    d.layer(`${at}.attn${n}.to_v`, [c, from], tokens, { hasBias: false });
    d.layer(`${at}.attn${n}.to_out.0`, [c, c], places);
    d.attends(places, tokens, c);
  }
  d.norm(`${at}.norm3`, c);
  d.layer(`${at}.ff.net.0.proj`, [8 * c, c], places);
  d.layer(`${at}.ff.net.2`, [c, 4 * c], places);
  d.layer(`${name}.proj_out`, [c, c, 1, 1], places);
}

/** Draws a network. */
export function drawDiffusers(d: NetworkDrawer, sizes: DiffusersSizes): void {
  const { widths, layers, mixed, mixesUp, middle, side, channels, context } = sizes;
  const width = 4 * widths[0], last = widths.length - 1;
  const res = (name: string, channels: BlockSizes["channels"], places: number) =>
    drawBlock(d, name, { channels, width, places });
  const mix = (name: string, c: number, places: number) =>
    drawMixing(d, name, { c, places, context });
  const places = (level: number) => (side >> level) ** 2;
  d.layer("conv_in", [widths[0], channels, 3, 3], places(0));
  d.layer("time_embedding.linear_1", [width, widths[0]], 1);
  d.layer("time_embedding.linear_2", [width, width], 1);
  let c = widths[0];
  const skips = [c];
  widths.forEach((cout, level) => {
    const name = `down_blocks.${level}`;
    for (let i = 0; i < layers; i++) {
      res(`${name}.resnets.${i}`, [c, cout], places(level));
      if (mixed.includes(level)) mix(`${name}.attentions.${i}`, cout, places(level));
      skips.push(c = cout);
    }
    if (level === last) return;
    d.layer(`${name}.downsamplers.0.conv`, [c, c, 3, 3], places(level + 1));
    skips.push(c);
  });
  res("mid_block.resnets.0", [c, c], places(last));
  if (middle === "whole") {
    mix("mid_block.attentions.0", c, places(last));
    res("mid_block.resnets.1", [c, c], places(last));
  }
  for (let i = 0; i <= last; i++) {
    const level = last - i, name = `up_blocks.${i}`, cout = widths[level];
    for (let j = 0; j <= layers; j++) {
      res(`${name}.resnets.${j}`, [c + skips.pop()!, cout], places(level));
      c = cout;
      if (mixesUp && mixed.includes(level)) mix(`${name}.attentions.${j}`, c, places(level));
    }
    if (level > 0) d.layer(`${name}.upsamplers.0.conv`, [c, c, 3, 3], places(level - 1));
  }
  d.norm("conv_norm_out", c);
  d.layer("conv_out", [channels, c, 3, 3], places(0));
}
