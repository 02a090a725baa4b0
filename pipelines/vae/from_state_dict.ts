import { InputError } from "../errors.ts";
import { type StateDict, toFloat64 } from "../io/state_dict.ts";
import { NeuralVae } from "./neural_vae.ts";
import { vaeTensorShapes } from "./parameters.ts";
import type { ColumnScale } from "./samples.ts";
import { latentSize, type VaeShape } from "./settings.ts";

/** What a PyTorch state dict of the VAE does not say. */
export interface StateDictVaeOptions {
  /** Dimensions of each latent group. */
  readonly groups: readonly number[];
  /** Means and deviations that responses are z-scored by: the released code's are those of all stimuli. */
  readonly sites: ColumnScale;
  /** Means and deviations of the pose features, else 0 and 1. */
  readonly pose?: ColumnScale;
  /** Group that the pose supervised. */
  readonly poseGroup?: number;
  /** Group that the category supervised. */
  readonly categoryGroup?: number;
}

const FIRST = "encoder.fc1.weight";

/** The one prefix that a wrapper such as `module.` has put before every name. */
function prefixOf(names: readonly string[]): string {
  const found = names.filter((name) => name.endsWith(FIRST));
  if (found.length === 1) return found[0].slice(0, -FIRST.length);
  throw new InputError(
    `Cannot read a VAE: one tensor must be named ${FIRST}, ${
      found.length === 0 ? "there are " : "there are several: "
    }${(found.length === 0 ? names : found).slice(0, 6).join(", ") || "none at all"}`,
  );
}

/**
 * The VAE of a state dict with the released code's names (encoder.fc1, encoder.fc_mu, encoder.fc_logvar, decoder.fc_x, and where labels
 * supervised decoder.fc_category and decoder.dimwise_scale), behind any common prefix.
 *
 * @throws {InputError} when a tensor is missing or has another shape: it names the tensor, and the shape that it must have
 */
export function neuralVaeFrom(
  stateDict: StateDict,
  { groups, sites, pose, poseGroup = 0, categoryGroup = 1 }: StateDictVaeOptions,
): NeuralVae {
  const prefix = prefixOf([...stateDict.keys()]);
  const find = (name: string) => stateDict.get(`${prefix}${name}`);
  const first = find(FIRST)?.shape ?? [];
  const bias = find("decoder.fc_category.bias"), scale = find("decoder.dimwise_scale");
  const shape: VaeShape = {
    nSites: first[1],
    hidden: first[0],
    groups,
    ...(scale ? { pose: { group: poseGroup, size: scale.shape[0] } } : {}),
    ...(bias ? { category: { group: categoryGroup, size: bias.shape[0] } } : {}),
  };
  for (const [label, head] of Object.entries({ pose: shape.pose, category: shape.category })) {
    if (!head || head.group in groups) continue;
    throw new InputError(
      `Cannot read a VAE: the ${label}'s group must be below ${groups.length}, got ${head.group}`,
    );
  }
  const nLatent = find("encoder.fc_mu.bias")?.shape[0];
  if (nLatent !== undefined && nLatent !== latentSize(groups)) {
    throw new InputError(
      `Cannot read a VAE: it has ${nLatent} latent dimensions, groups of [${groups}] have ${
        latentSize(groups)
      }`,
    );
  }
  const weights = new Map([...vaeTensorShapes(shape)].map(([name, dims]) => {
    const tensor = find(name);
    if (tensor?.shape.join() === dims.join()) return [name, toFloat64(tensor)];
    throw new InputError(
      `Cannot read a VAE: ${name} must be [${dims}], it is ${
        tensor ? `[${tensor.shape}]` : "missing"
      }`,
    );
  }));
  const poseScale = shape.pose && (pose ?? unscaled(shape.pose.size));
  return new NeuralVae({ shape, weights, sites, pose: poseScale });
}

function unscaled(n: number): ColumnScale {
  return { mean: new Float64Array(n), std: new Float64Array(n).fill(1) };
}
