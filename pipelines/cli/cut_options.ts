/**
 * Options of `gyrus cut`.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import type { FeatureNodesOptions } from "../spectral/feature_nodes.ts";
import { type GlobalOptions, realNumber, wholeNumber } from "./options.ts";

/** Affinities that have a name. */
export const affinityNames = ["cosine", "rbf", "euclidean", "squared-cosine"] as const;

/** What the user says. */
export interface CutCliOptions extends GlobalOptions {
  readonly features: readonly string[];
  readonly grid?: string;
  readonly prefixTokens?: number;
  readonly channelsLast: boolean;
  readonly nEig: number;
  readonly method: "auto" | "exact" | "nystrom" | "kernel";
  readonly affinity: typeof affinityNames[number];
  readonly gamma?: number;
  readonly sigma?: number;
  readonly scale?: "v1" | "v3";
  readonly degree?: number;
  readonly landmarks?: string;
  readonly neighbors?: number;
  readonly weights?: "affinity" | "degree" | "cosine";
  readonly propagateFrom?: number;
  readonly orthogonal: boolean;
  readonly k: readonly number[];
  readonly kway: "rotation" | "kmeans";
  readonly colors: "tsne" | "umap" | "none";
  readonly colorSamples?: number;
  readonly perplexity?: number;
  readonly colorSpace: "rgb" | "lab" | "lab-narrow";
  readonly turn: number;
  readonly images?: string;
  readonly overlays?: string;
  readonly onto?: string;
  readonly checkpoint?: string;
}

/** Parses `10,25`. */
function counts(text: string): number[] {
  const values = text.split(",").map((part) => wholeNumber(part.trim()));
  if (values.some((k) => k < 2) || new Set(values).size < values.length) {
    throw new InvalidArgumentError("Different numbers of clusters from 2 are needed.");
  }
  return values;
}

function positive(text: string): number {
  const value = realNumber(text);
  if (!(value > 0)) throw new InvalidArgumentError("A number above 0 is needed.");
  return value;
}

/** Adds what says which nodes there are and how alike they are. */
function addGraphOptions(command: Command): Command {
  return command
    .requiredOption(
      "--features <ref...>",
      "arrays [nodes, width], [images, tokens, width] or [images, gridH, gridW, width] of one graph",
    )
    .option("--grid <HxW>", "patches of an image (default: as the file says, else square)")
    .option(
      "--prefix-tokens <n>",
      "tokens before the patches (default: as the file says, else 0, 1 or 5)",
      wholeNumber,
    )
    .option("--channels-last", "the last axis is channels, whatever it looks like", false)
    .addOption(
      new Option("--affinity <name>", "how alike two nodes are").choices([...affinityNames])
        .default("cosine"),
    )
    .option(
      "--gamma <g>",
      "cosine: exp(-(1 - cos)/g), 1 in the paper; euclidean: exp(-d/g); rbf: sigma^2 = g times the summed variance",
      positive,
    )
    .option("--sigma <s>", "rbf: exp(-d^2/(2 s^2)); squared-cosine", positive)
    .addOption(
      new Option(
        "--scale <rule>",
        "search the scale instead, as ncut_pytorch v1 (mean affinity is --degree) or v3 does (default for rbf: v3)",
      ).choices(["v1", "v3"]),
    )
    .option("--degree <d>", "mean affinity that --scale v1 looks for (default: 0.05)", positive);
}

/** Adds how the graph is solved. */
function addSolverOptions(command: Command): Command {
  return command
    .option("--n-eig <n>", "eigenvectors, the trivial first one among them", wholeNumber, 20)
    .addOption(
      new Option("--method <name>", "all nodes, landmarks, or random features; auto goes by size")
        .choices(["auto", "exact", "nystrom", "kernel"]).default("auto"),
    )
    .option(
      "--landmarks <n|ref>",
      "nystrom: their number, or an array of the nodes to take; kernel: the number of frequencies",
    )
    .option(
      "--neighbors <n>",
      "nystrom: every node takes the mean of its nearest landmarks, as ncut_pytorch, instead of the affinities " +
        "that landmarks span",
      wholeNumber,
    )
    .addOption(
      new Option(
        "--weights <rule>",
        "nystrom with neighbours: weights as ncut_pytorch v1 (affinity), v3 (degree) or of August 2024 (cosine)",
      ).choices(["affinity", "degree", "cosine"]),
    )
    .option(
      "--propagate-from <n>",
      "nystrom with neighbours: landmarks that lend values, the farthest by their eigenvectors",
      wholeNumber,
    )
    .option("--orthogonal", "make the columns of propagated eigenvectors orthonormal", false);
}

/** Adds what is made of the eigenvectors. */
function addResultOptions(command: Command): Command {
  return command
    .option("--k <list>", "numbers of clusters, with commas", counts, [])
    .addOption(
      new Option("--kway <rule>", "the rotation of Yu and Shi, or spherical k-means")
        .choices(["rotation", "kmeans"]).default("rotation"),
    )
    .addOption(
      new Option("--colors <name>", "colours by a joint embedding of the eigenvectors").choices([
        "tsne",
        "umap",
        "none",
      ]).default("tsne"),
    )
    .option("--color-samples <n>", "nodes that are embedded (default: 1000)", wholeNumber)
    .option("--perplexity <p>", "of t-SNE (default: 150, at most half of the samples)", positive)
    .addOption(
      new Option("--color-space <name>", "what the axes of the embedding are").choices([
        "rgb",
        "lab",
        "lab-narrow",
      ]).default("rgb"),
    )
    .option("--turn <n>", "turn of the colour cube, 0 to 6", wholeNumber, 0)
    .option("--images <ref>", "the images of the features, for pictures")
    .option("--overlays <folder>", "pictures of the cut over the images, one .png each")
    .option("--onto <file>", "places new nodes in an older cut: its eigenvectors, labels, colours")
    .option(
      "--checkpoint <file>",
      "keep finished pieces there; the same command goes on after a stop",
    );
}

/** Adds all options. */
export function addCutOptions(command: Command): Command {
  return addResultOptions(addSolverOptions(addGraphOptions(command)));
}

/** How the arrays hold patches. */
export function nodeOptions(
  { grid, prefixTokens, channelsLast }: CutCliOptions,
): FeatureNodesOptions {
  const sides = grid === undefined ? undefined : /^(\d+)x(\d+)$/.exec(grid);
  if (sides === null || (sides && sides.slice(1).some((side) => Number(side) === 0))) {
    throw new InputError(`Cannot use --grid ${quote(grid!)}: it must be HxW, such as 14x14`);
  }
  return {
    grid: sides ? [Number(sides[1]), Number(sides[2])] : undefined,
    prefixTokens,
    isChannelLast: channelsLast,
  };
}

/** Refuses options that say nothing together. */
export function requireCutOptions(options: CutCliOptions): void {
  const { affinity, gamma, sigma, scale, degree, images, overlays } = options;
  const refuse = (why: string) => {
    throw new InputError(`Cannot cut: ${why}`);
  };
  const given = Object.entries({ gamma, sigma, scale }).filter(([, value]) => value !== undefined);
  if (given.length > 1) {
    refuse(`one scale is needed, got ${given.map(([name]) => `--${name}`).join(" and ")}`);
  }
  const hasSigma = affinity === "rbf" || affinity === "squared-cosine";
  if (sigma !== undefined && !hasSigma) {
    refuse(`--sigma belongs to rbf and squared-cosine, the affinity is ${affinity}`);
  }
  if (gamma !== undefined && affinity === "squared-cosine") {
    refuse("squared-cosine takes --sigma, not --gamma");
  }
  if (scale === "v3" && !hasSigma) {
    refuse(`--scale v3 searches a sigma, and ${affinity} has a gamma; use --scale v1 or --gamma`);
  }
  if (scale === "v1" && affinity === "squared-cosine") refuse("--scale v1 searches a gamma");
  if (degree !== undefined && scale !== "v1") refuse("--degree belongs to --scale v1");
  if ((images === undefined) !== (overlays === undefined)) {
    refuse("pictures need both --images and --overlays");
  }
}
