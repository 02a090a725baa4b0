/**
 * Averaged weights (exponential moving averages over training) in a checkpoint that holds the trained ones too.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { StateDict } from "../io/state_dict.ts";
import { anchorPrefixes } from "./checkpoint_reader.ts";
import { listNames } from "./layouts.ts";

/** First keys of UNets, by which a network is found in a file. */
const ANCHORS = ["input_blocks.0.0.weight", "init_conv.weight", "conv_in.weight"];

/** A network in a state dict. */
export interface PlacedWeights {
  /** The tensors. */
  readonly stateDict: StateDict;
  /** Beginning of the network's keys. */
  readonly prefix: string;
}

/** What stands before the keys of LDM's averages, which have no dots. */
const LDM_AVERAGES = "model_ema.", LDM_TRAINED = "model.";

/** LDM's averages under the names of what they average: `model_ema.diffusion_modelinput_blocks00weight`. */
function ldmAverages(stateDict: StateDict): PlacedWeights | undefined {
  const inner = `${LDM_TRAINED}diffusion_model.`;
  const named = [...stateDict.keys()].filter((key) => key.startsWith(inner)).map((key) => {
    const flat = key.slice(LDM_TRAINED.length).replaceAll(".", "");
    return [key, stateDict.get(LDM_AVERAGES + flat)] as const;
  });
  const found = named.flatMap(([key, tensor]) => tensor ? [[key, tensor] as const] : []);
  if (found.length === 0 || found.length < named.length) return undefined;
  return { stateDict: new Map(found), prefix: inner };
}

/**
 * The averaged weights of a UNet: those under a beginning with "ema" in it, such as `ema_model.model.` of denoising-diffusion-pytorch, or
 * LDM's `model_ema.` under the names of the trained ones.
 *
 * @throws {InputError} when there are none, or several; it names what networks there are
 */
export function averagedWeights(stateDict: StateDict): PlacedWeights {
  const ldm = ldmAverages(stateDict);
  if (ldm) return ldm;
  const prefixes = [...new Set(ANCHORS.flatMap((key) => anchorPrefixes(stateDict, key)))];
  const averaged = prefixes.filter((prefix) =>
    /(^|[._])ema([._]|$)/.test(prefix) && !prefix.includes("online")
  );
  if (averaged.length === 1) return { stateDict, prefix: averaged[0] };
  throw new InputError(
    averaged.length > 1
      ? `Cannot take averaged weights: there are several, under ${
        listNames(averaged)
      }; name one with the option "prefix"`
      : `Cannot take averaged weights: the checkpoint has none, no keys begin with "ema"; ${
        prefixes.length === 0
          ? `it has ${listNames([...stateDict.keys()])}`
          : `its networks are under ${listNames(prefixes)}`
      }`,
  );
}
