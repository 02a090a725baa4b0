import { InputError } from "../errors.ts";
import { Entries, type Json } from "../models/config_entries.ts";
import type { DiffusersFacts } from "../models/diffusers_options.ts";
import type { Clipping, PredictionType, VarianceType } from "./denoise.ts";
import type { Defaults } from "./settings.ts";

const CANNOT = "Cannot use the scheduler's configuration:";

const KINDS = {
  linear: "linear",
  scaled_linear: "scaled-linear",
  squaredcos_cap_v2: "cosine",
} as const;
const PREDICTIONS: Readonly<Record<string, PredictionType>> = {
  epsilon: "epsilon",
  v_prediction: "v",
  sample: "sample",
};
const VARIANCES: Readonly<Record<string, VarianceType>> = {
  fixed_small: "fixed-small",
  fixed_small_log: "fixed-small",
  fixed_large: "fixed-large",
  fixed_large_log: "fixed-large",
  learned_range: "learned-range",
};

/** Stable Diffusion 1.5's, for networks with a context that come without a scheduler. */
const STABLE_DIFFUSION: Json = {
  ...{ beta_schedule: "scaled_linear", beta_start: 0.00085, beta_end: 0.012, steps_offset: 1 },
  ...{ set_alpha_to_one: false, clip_sample: false },
};

/** An entry by a table. */
function chosen<T>(
  entries: Entries,
  name: string,
  table: Readonly<Record<string, T>>,
): T | undefined {
  const value = entries.oneOf(name, Object.keys(table));
  return value === undefined ? undefined : table[value];
}

/** Limits of clean images: schedulers other than DDIM's and DDPM's have none. */
function clipOf(entries: Entries, name: string | undefined): Clipping {
  if (entries.flag("thresholding")) {
    const ratio = entries.positive("dynamic_thresholding_ratio") ?? 0.995;
    return { ratio, max: entries.positive("sample_max_value") ?? 1 };
  }
  const isDefault = name === undefined || /^DD(IM|PM)/.test(name);
  const range = entries.positive("clip_sample_range") ?? 1;
  return entries.flag("clip_sample") ?? isDefault ? [-range, range] : false;
}

/** diffusers' sigmoid schedule: variances that follow a sigmoid from −6 to 6. */
function sigmoidBetas(steps: number, first: number, last: number): Float64Array {
  return Float64Array.from({ length: steps }, (_, k) => {
    const x = -6 + 12 * k / Math.max(1, steps - 1);
    return first + (last - first) / (1 + Math.exp(-x));
  });
}

/**
 * What a `scheduler_config.json` of diffusers says of the schedule and of sampling; defaults are those of `DDIMScheduler` and `DDPMScheduler`.
 *
 * @throws {InputError} when an entry has a value that is not known here
 */
export function schedulerSettings(facts: DiffusersFacts, given?: Json): Defaults {
  const config = given ?? (facts.crossAttentionDim > 0 ? STABLE_DIFFUSION : {});
  const entries = new Entries(config, "");
  if (entries.flag("rescale_betas_zero_snr")) {
    throw new InputError(`${CANNOT} rescale_betas_zero_snr must be false, it is true`);
  }
  const steps = entries.count("num_train_timesteps") ?? 1000;
  const betaStart = entries.positive("beta_start") ?? 0.0001;
  const betaEnd = entries.positive("beta_end") ?? 0.02;
  const kind = entries.oneOf("beta_schedule", [...Object.keys(KINDS), "sigmoid"]) ?? "linear";
  const trained = config.trained_betas;
  const isLearned = facts.outChannels === 2 * facts.inChannels;
  return {
    kind: kind === "sigmoid" ? "sigmoid" : KINDS[kind as keyof typeof KINDS],
    ...{ steps, betaStart, betaEnd },
    ...(Array.isArray(trained)
      ? { betas: trained.map(Number) }
      : kind === "sigmoid"
      ? { betas: sigmoidBetas(steps, betaStart, betaEnd) }
      : {}),
    prediction: chosen(entries, "prediction_type", PREDICTIONS) ?? "epsilon",
    clip: clipOf(entries, entries.text("_class_name")),
    rederivesEpsilon: false,
    variance: chosen(entries, "variance_type", VARIANCES) ??
      (isLearned ? "learned-range" : "fixed-small"),
    library: "diffusers",
    spacing: entries.oneOf("timestep_spacing", ["leading", "trailing", "linspace"]),
    stepsOffset: entries.index("steps_offset"),
    setAlphaToOne: entries.flag("set_alpha_to_one"),
  };
}
