/**
 * Names that the small networks of `diffusers_reference.ts` and `autoencoder_kl_test.ts` have in other codes, written out so that the
 * reading of them is not checked against itself.
 *
 * @module
 */
import type { HostTensor, StateDict } from "../../pipelines/io/state_dict.ts";

/** Blocks of a small `UNet2DConditionModel` as LDM names them. */
export const ldmNames: Readonly<Record<string, string>> = {
  "conv_in": "input_blocks.0.0",
  "time_embedding.linear_1": "time_embed.0",
  "time_embedding.linear_2": "time_embed.2",
  "down_blocks.0.resnets.0.norm1": "input_blocks.1.0.in_layers.0",
  "down_blocks.0.resnets.0.conv1": "input_blocks.1.0.in_layers.2",
  "down_blocks.0.resnets.0.time_emb_proj": "input_blocks.1.0.emb_layers.1",
  "down_blocks.0.resnets.0.norm2": "input_blocks.1.0.out_layers.0",
  "down_blocks.0.resnets.0.conv2": "input_blocks.1.0.out_layers.3",
  "down_blocks.0.attentions.0": "input_blocks.1.1",
  "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
  "down_blocks.1.resnets.0.norm1": "input_blocks.3.0.in_layers.0",
  "down_blocks.1.resnets.0.conv1": "input_blocks.3.0.in_layers.2",
  "down_blocks.1.resnets.0.time_emb_proj": "input_blocks.3.0.emb_layers.1",
  "down_blocks.1.resnets.0.norm2": "input_blocks.3.0.out_layers.0",
  "down_blocks.1.resnets.0.conv2": "input_blocks.3.0.out_layers.3",
  "down_blocks.1.resnets.0.conv_shortcut": "input_blocks.3.0.skip_connection",
  ...resLdm("mid_block.resnets.0", "middle_block.0"),
  "mid_block.attentions.0": "middle_block.1",
  ...resLdm("mid_block.resnets.1", "middle_block.2"),
  ...resLdm("up_blocks.0.resnets.0", "output_blocks.0.0"),
  ...resLdm("up_blocks.0.resnets.1", "output_blocks.1.0"),
  "up_blocks.0.upsamplers.0.conv": "output_blocks.1.1.conv",
  ...resLdm("up_blocks.1.resnets.0", "output_blocks.2.0"),
  "up_blocks.1.attentions.0": "output_blocks.2.1",
  ...resLdm("up_blocks.1.resnets.1", "output_blocks.3.0"),
  "up_blocks.1.attentions.1": "output_blocks.3.1",
  "conv_norm_out": "out.0",
  "conv_out": "out.2",
};

function resLdm(diffusers: string, ldm: string): Record<string, string> {
  return {
    [`${diffusers}.norm1`]: `${ldm}.in_layers.0`,
    [`${diffusers}.conv1`]: `${ldm}.in_layers.2`,
    [`${diffusers}.time_emb_proj`]: `${ldm}.emb_layers.1`,
    [`${diffusers}.norm2`]: `${ldm}.out_layers.0`,
    [`${diffusers}.conv2`]: `${ldm}.out_layers.3`,
    [`${diffusers}.conv_shortcut`]: `${ldm}.skip_connection`,
  };
}

function resDdpm(diffusers: string, ddpm: string): Record<string, string> {
  return {
    [`${diffusers}.norm1`]: `${ddpm}.norm1`,
    [`${diffusers}.conv1`]: `${ddpm}.conv1`,
    [`${diffusers}.time_emb_proj`]: `${ddpm}.temb_proj`,
    [`${diffusers}.norm2`]: `${ddpm}.norm2`,
    [`${diffusers}.conv2`]: `${ddpm}.conv2`,
    [`${diffusers}.conv_shortcut`]: `${ddpm}.nin_shortcut`,
  };
}

/** Attention of files of before 2023, or of today. */
function attentionDdpm(diffusers: string, ddpm: string): Record<string, string> {
  return {
    [`${diffusers}.group_norm`]: `${ddpm}.norm`,
    ...{ [`${diffusers}.query`]: `${ddpm}.q`, [`${diffusers}.to_q`]: `${ddpm}.q` },
    ...{ [`${diffusers}.key`]: `${ddpm}.k`, [`${diffusers}.to_k`]: `${ddpm}.k` },
    ...{ [`${diffusers}.value`]: `${ddpm}.v`, [`${diffusers}.to_v`]: `${ddpm}.v` },
    [`${diffusers}.proj_attn`]: `${ddpm}.proj_out`,
    [`${diffusers}.to_out.0`]: `${ddpm}.proj_out`,
  };
}

/** Blocks of a small UNet of the DDPM family as its port to PyTorch names them: on the way up the widest images come first. */
export const ddpmNames: Readonly<Record<string, string>> = {
  "time_embedding.linear_1": "temb.dense.0",
  "time_embedding.linear_2": "temb.dense.1",
  "conv_in": "conv_in",
  ...resDdpm("down_blocks.0.resnets.0", "down.0.block.0"),
  ...attentionDdpm("down_blocks.0.attentions.0", "down.0.attn.0"),
  "down_blocks.0.downsamplers.0.conv": "down.0.downsample.conv",
  ...resDdpm("down_blocks.1.resnets.0", "down.1.block.0"),
  ...resDdpm("mid_block.resnets.0", "mid.block_1"),
  ...attentionDdpm("mid_block.attentions.0", "mid.attn_1"),
  ...resDdpm("mid_block.resnets.1", "mid.block_2"),
  ...resDdpm("up_blocks.0.resnets.0", "up.1.block.0"),
  ...resDdpm("up_blocks.0.resnets.1", "up.1.block.1"),
  "up_blocks.0.upsamplers.0.conv": "up.1.upsample.conv",
  ...resDdpm("up_blocks.1.resnets.0", "up.0.block.0"),
  ...attentionDdpm("up_blocks.1.attentions.0", "up.0.attn.0"),
  ...resDdpm("up_blocks.1.resnets.1", "up.0.block.1"),
  ...attentionDdpm("up_blocks.1.attentions.1", "up.0.attn.1"),
  "conv_norm_out": "norm_out",
  "conv_out": "conv_out",
};

/** Blocks of a small autoencoder as LDM names them. */
export const ldmAutoencoderNames: Readonly<Record<string, string>> = {
  "quant_conv": "quant_conv",
  "post_quant_conv": "post_quant_conv",
  "encoder.conv_in": "encoder.conv_in",
  ...resDdpm("encoder.down_blocks.0.resnets.0", "encoder.down.0.block.0"),
  "encoder.down_blocks.0.downsamplers.0.conv": "encoder.down.0.downsample.conv",
  ...resDdpm("encoder.down_blocks.1.resnets.0", "encoder.down.1.block.0"),
  ...resDdpm("encoder.mid_block.resnets.0", "encoder.mid.block_1"),
  ...attentionDdpm("encoder.mid_block.attentions.0", "encoder.mid.attn_1"),
  ...resDdpm("encoder.mid_block.resnets.1", "encoder.mid.block_2"),
  "encoder.conv_norm_out": "encoder.norm_out",
  "encoder.conv_out": "encoder.conv_out",
  "decoder.conv_in": "decoder.conv_in",
  ...resDdpm("decoder.mid_block.resnets.0", "decoder.mid.block_1"),
  ...attentionDdpm("decoder.mid_block.attentions.0", "decoder.mid.attn_1"),
  ...resDdpm("decoder.mid_block.resnets.1", "decoder.mid.block_2"),
  ...resDdpm("decoder.up_blocks.0.resnets.0", "decoder.up.1.block.0"),
  "decoder.up_blocks.0.upsamplers.0.conv": "decoder.up.1.upsample.conv",
  ...resDdpm("decoder.up_blocks.1.resnets.0", "decoder.up.0.block.0"),
  "decoder.conv_norm_out": "decoder.norm_out",
  "decoder.conv_out": "decoder.conv_out",
};

/**
 * The tensors of a network under other names.
 *
 * @throws when a tensor has none
 */
export function renamed(
  stateDict: StateDict,
  names: Readonly<Record<string, string>>,
  prefix: string,
): Map<string, HostTensor> {
  return new Map([...stateDict].map(([key, tensor]) => {
    const block = Object.keys(names).find((name) => key.startsWith(`${name}.`));
    if (block === undefined) throw new Error(`no name for ${key}`);
    return [prefix + names[block] + key.slice(block.length), tensor];
  }));
}
