import { type Key, randomKey } from "../../../engine/random.ts";
import { InputError } from "../../errors.ts";
import type { LongCall } from "../linear_model.ts";
import { EIGEN_KS, type EigenLossForm } from "./eigen_loss.ts";
import type { BrainLossForm, CovarianceLossForm, ZeroLossForm } from "./losses.ts";

/**
 * How responses are read out of aligned tokens. `per-layer`: every layer of every network predicts all voxels with the same weights.
 * `factor-topy`: every network does, with layers, places and the share of the class token chosen for each voxel by small networks of
 * its coordinates (Yang et al., arXiv 2312.01280).
 */
export type ReadoutKind = "per-layer" | "factor-topy";

/** How a voxel weighs patches in `per-layer`: all alike, or by weights of its own that all layers and networks share. */
export type PatchPooling = "mean" | "voxel";

/**
 * First weights: `identity` plus N(0, 10⁻³) where the widths agree, else PyTorch's `Linear`; `linear` the latter throughout; `ridge` the
 * closed form that predicts the leading components of the responses, with those components as the first head.
 */
export type AlignmentStart = "identity" | "linear" | "ridge";

/** What of an alignment can be set; see {@link ALIGNMENT_DEFAULTS} for values and sources. */
export interface AlignmentSettings {
  /** Channels of the shared space; the largest width of a token when left out. */
  readonly width?: number;
  /** How responses are read out. */
  readonly readout: ReadoutKind;
  /** How a voxel weighs patches. */
  readonly pooling: PatchPooling;
  /** First weights. */
  readonly start: AlignmentStart;
  /** Form of the loss on responses. */
  readonly brainLoss: BrainLossForm;
  /** Form of the eigen-constraint. */
  readonly eigenLoss: EigenLossForm;
  /** Form of the zero-centred loss. */
  readonly zeroLoss: ZeroLossForm;
  /** Form of the covariance loss. */
  readonly covarianceLoss: CovarianceLossForm;
  /** Weight of the loss on responses: 0 for a control without a brain. */
  readonly brainWeight: number;
  /** Weight of the eigen-constraint. */
  readonly eigenWeight: number;
  /** Weight of the zero-centred loss. */
  readonly zeroWeight: number;
  /** Weight of the covariance loss. */
  readonly covarianceWeight: number;
  /** Numbers of eigenvectors of the eigen-constraint. */
  readonly eigenKs: readonly number[];
  /** Patches that the eigen-constraint is computed on, for each slice and step. */
  readonly eigenNodes: number;
  /** Slices, drawn anew in every step, that the eigen-constraint is computed on; the loss is their mean. */
  readonly eigenSlices: number;
  /** Scale of the cosine affinity of the eigen-constraint. */
  readonly eigenGamma: number;
  /** Largest step size, which falls to 0 along half a cosine; behind the closed form {@link RIDGE_LR} when left out. */
  readonly lr: number;
  /** Largest step size of what voxels choose: shares, places, layers. 10⁻³ of the networks that choose by coordinates, 10⁻² of logits. */
  readonly choiceLr: number;
  /** Decoupled weight decay. */
  readonly weightDecay: number;
  /** Images in a step. */
  readonly batchSize: number;
  /** Passes over the images. */
  readonly epochs: number;
  /** Largest norm of all gradients together. */
  readonly clipNorm: number;
  /** Epochs without a better held-out R² after which training stops. */
  readonly patience: number;
  /** Voxels whose predictions are on the device together. */
  readonly voxelChunk: number;
}

/** Step size behind the closed form: what it found is to be refined, not left. Ours. */
export const RIDGE_LR = 1e-4;

/** Step size of the networks that choose by coordinates: `BrainDecodesDeepNets`. */
const TOPY_LR = 1e-3;

/**
 * Defaults. AlignedCut's text gives the four losses and their weights (eq. 10: 1, 0.01, 0.01) and nothing of the optimisation. From
 * `BrainDecodesDeepNets` are the smooth L1 loss, AdamW with 10⁻³ and its decay of 10⁻²; 100 nodes are what is recalled of the paper;
 * the rest is ours. An eigen-constraint on all slices of three twelve-layer networks would take 72 decompositions in each step: four
 * slices, drawn anew, have the same mean gradient. Training begins at the closed form, then with a step size of 10⁻⁴: responses to means
 * over images say too little of single patches for steps of 10⁻³ to find the space from the identity in 20 epochs.
 */
export const ALIGNMENT_DEFAULTS: Readonly<Required<Omit<AlignmentSettings, "width">>> = {
  readout: "per-layer",
  pooling: "mean",
  start: "ridge",
  brainLoss: "smooth-l1",
  eigenLoss: "projector",
  zeroLoss: "channel-mean",
  covarianceLoss: "off-diagonal",
  brainWeight: 1,
  eigenWeight: 1,
  zeroWeight: 0.01,
  covarianceWeight: 0.01,
  eigenKs: EIGEN_KS,
  eigenNodes: 100,
  eigenSlices: 4,
  eigenGamma: 1,
  lr: 1e-3,
  choiceLr: 1e-2,
  weightDecay: 1e-2,
  batchSize: 16,
  epochs: 20,
  clipNorm: 1,
  patience: 5,
  voxelChunk: 4096,
};

/** Options of `fitAlignment`. */
export interface AlignmentOptions extends Partial<AlignmentSettings>, LongCall {
  /** Randomness of first weights, of the order of images and of nodes. */
  readonly key?: Key;
  /** Images that are held out: their rows, or how many of the last ones. A tenth when left out. */
  readonly heldOut?: number | ArrayLike<number>;
  /** Places of the voxels `[nVoxels, 3]`, for `factor-topy`. */
  readonly coordinates?: { readonly data: Float32Array; readonly shape: readonly [number, number] };
  /** File that keeps the state after every epoch: the same call goes on from there. */
  readonly checkpoint?: string;
  /** What the results follow from beside the settings, for the checkpoint: names and facts. */
  readonly facts?: Readonly<Record<string, unknown>>;
  /** Hears a line after every epoch. */
  readonly log?: (line: string) => void;
}

/** Settings in force. */
export type ResolvedSettings = Required<AlignmentSettings> & { readonly key: Key };

/**
 * Settings with the defaults filled in.
 *
 * @param widest largest width of a token
 * @throws {InputError} for one that is out of range
 */
export function resolveSettings(options: AlignmentOptions, widest: number): ResolvedSettings {
  const given = Object.fromEntries(
    Object.entries(options).filter(([name, value]) =>
      value !== undefined && (name in ALIGNMENT_DEFAULTS || name === "width")
    ),
  );
  const isClosed = (options.start ?? ALIGNMENT_DEFAULTS.start) === "ridge";
  const lr = isClosed ? RIDGE_LR : ALIGNMENT_DEFAULTS.lr;
  const key = options.key ?? randomKey(0);
  const choiceLr = options.readout === "factor-topy" ? TOPY_LR : ALIGNMENT_DEFAULTS.choiceLr;
  const full = { ...ALIGNMENT_DEFAULTS, width: widest, lr, choiceLr, ...given, key };
  const { eigenKs, eigenNodes } = full;
  const fail = (rule: string, value: unknown) => {
    throw new InputError(`Cannot align channels: ${rule}, got ${value}`);
  };
  const counts = ["width", "eigenSlices", "batchSize", "epochs", "patience", "voxelChunk"] as const;
  for (const name of counts) {
    const value = full[name];
    if (!(Number.isSafeInteger(value) && value >= 1)) {
      fail(`${name} must be a whole number from 1`, value);
    }
  }
  const weights = [
    "brainWeight",
    "eigenWeight",
    "zeroWeight",
    "covarianceWeight",
    "weightDecay",
  ] as const;
  for (const name of weights) {
    if (!(full[name] >= 0 && Number.isFinite(full[name]))) {
      fail(`${name} must not be negative`, full[name]);
    }
  }
  for (const name of ["lr", "choiceLr", "clipNorm", "eigenGamma"] as const) {
    if (!(full[name] > 0 && Number.isFinite(full[name]))) {
      fail(`${name} must be positive`, full[name]);
    }
  }
  const largest = Math.max(...eigenKs);
  if (eigenKs.length === 0 || !eigenKs.every((k) => Number.isInteger(k) && k >= 1)) {
    fail("eigenKs must be whole numbers from 1", eigenKs.join());
  }
  if (!(Number.isInteger(eigenNodes) && eigenNodes > largest && eigenNodes <= 512)) {
    fail(
      `eigenNodes must be a whole number above the largest of eigenKs, ${largest}, and at most 512`,
      eigenNodes,
    );
  }
  return full;
}
