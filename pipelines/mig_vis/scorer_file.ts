import type { Gpu } from "../../engine/gpu.ts";
import { randomKey } from "../../engine/random.ts";
import { hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { requireFinite } from "../io/checks.ts";
import { writeSafetensors } from "../io/safetensors.ts";
import { openSafetensors } from "../io/safetensors_file.ts";
import { type HostTensor, hostTensor, type StateDict, toFloat32 } from "../io/state_dict.ts";
import { isJsonObject, parseJsonObject, quote } from "../io/strict_json.ts";
import type { FeatureSettings } from "./image_features.ts";
import type { FittedScorer, ScorerFit } from "./fit_scorer.ts";
import type { LatentReadout } from "./latent_readout.ts";
import { LatentScorer, scorerShapes, type ScorerSizes } from "./scorer.ts";

const FORMAT = "gyrus scorers 1";

/** What a file of scorers is about. */
export interface ScorerRecord {
  /** Length of each latent group, those without a scorer too. */
  readonly groups: readonly number[];
  /** How the features of images came about. */
  readonly features: FeatureSettings;
  /** What tells the features' network from others: a digest of its weights. */
  readonly network: string;
  /** Where its weights were, as the one who fitted the scorers named them. */
  readonly weights?: string;
  /** How each group's fit went. */
  readonly fits: ReadonlyMap<number, Omit<ScorerFit, "losses">>;
}

/** Scorers and readouts of latent groups, by group. */
export interface SavedScorers extends ScorerRecord {
  /** Readouts of the baseline by likelihood. */
  readonly readouts: ReadonlyMap<number, LatentReadout>;
}

/** What a file of scorers is made of. */
export interface ScorersToWrite extends Omit<SavedScorers, "fits"> {
  /** Scorers by group. */
  readonly scorers: ReadonlyMap<number, FittedScorer>;
}

/**
 * A safetensors file of scorers and readouts, in memory: `groups.<g>.scorer.<tensor>`, `groups.<g>.readout.{coef,intercept,variances,r2}`; what they
 * belong to is in the metadata, as JSON.
 */
export async function writeScorers(
  { groups, features, network, weights, readouts, scorers }: ScorersToWrite,
): Promise<Uint8Array<ArrayBuffer>> {
  const tensors = new Map<string, HostTensor>();
  const described: Record<string, unknown> = {};
  for (const [group, { scorer, fit: { losses: _, ...fit } }] of scorers) {
    const shapes = scorerShapes(scorer.sizes);
    for (const [name, values] of await scorer.read()) {
      tensors.set(`groups.${group}.scorer.${name}`, hostTensor(values, shapes.get(name)!));
    }
    described[group] = { sizes: scorer.sizes, fit };
  }
  for (const [group, { coef, ...rest }] of readouts) {
    tensors.set(`groups.${group}.readout.coef`, hostTensor(coef.data, coef.shape));
    for (const [name, values] of Object.entries(rest)) {
      tensors.set(`groups.${group}.readout.${name}`, hostTensor(values, [values.length]));
    }
  }
  const about = { groups, features, network, weights, scorers: described };
  return writeSafetensors(tensors, { format: FORMAT, about: JSON.stringify(about) });
}

/** Scorers on a device with what they belong to. Owns the scorers. */
export class Scorers implements Disposable {
  /** What the file says. */
  readonly record: SavedScorers;
  /** Scorers by group. */
  readonly scorers: ReadonlyMap<number, LatentScorer>;

  /** @internal Use {@link readScorers}. */
  constructor(record: SavedScorers, scorers: ReadonlyMap<number, LatentScorer>) {
    this.record = record;
    this.scorers = scorers;
  }

  /** Frees the scorers. */
  [Symbol.dispose](): void {
    for (const scorer of this.scorers.values()) scorer[Symbol.dispose]();
  }
}

/** Metadata of a file, checked as far as it is used. */
interface About {
  readonly groups: number[];
  readonly features: FeatureSettings;
  readonly network: string;
  readonly weights?: string;
  readonly scorers: Record<string, { sizes: ScorerSizes; fit: Omit<ScorerFit, "losses"> }>;
}

class ScorerReader {
  constructor(readonly path: string, readonly tensors: StateDict) {}

  fail(problem: string): never {
    throw new InputError(`Cannot read scorers from ${quote(this.path)}: ${problem}`);
  }

  about({ format, about }: Readonly<Record<string, string>>): About {
    if (format !== FORMAT || about === undefined) {
      this.fail(`its format must be "${FORMAT}", it is ${quote(String(format))}`);
    }
    const json = parseJsonObject(new TextEncoder().encode(about), "Cannot read scorers: what it");
    const { groups, features, network, weights, scorers } = json;
    const isWhole = Array.isArray(groups) && isJsonObject(features) && isJsonObject(scorers) &&
      typeof network === "string" && ["string", "undefined"].includes(typeof weights) &&
      groups.every((size) => Number.isInteger(size) && size > 0);
    const isFitting = isWhole &&
      Object.entries(scorers).every(([g, scorer]) =>
        Number(g) in groups && isJsonObject(scorer) && isJsonObject(scorer.sizes) &&
        isJsonObject(scorer.fit) && scorer.sizes.latentWidth === groups[Number(g)] &&
        scorer.sizes.featureWidth === features.width
      );
    if (isFitting) return json as unknown as About;
    return this.fail("what it says of groups, features and scorers does not fit together");
  }

  values(name: string, shape: readonly number[]): Float32Array<ArrayBuffer> {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) this.fail(`${quote(name)} is missing`);
    if (`${tensor.shape}` !== `${shape}`) {
      this.fail(`${quote(name)} must be [${shape}], is [${tensor.shape}]`);
    }
    const values = toFloat32(tensor);
    requireFinite(values, { source: `${this.path}:${name}` });
    return values;
  }

  readouts({ groups, features: { width } }: About): Map<number, LatentReadout> {
    const found = groups.flatMap((size, group): [number, LatentReadout][] => {
      const root = `groups.${group}.readout`;
      if (!this.tensors.has(`${root}.coef`)) return [];
      const [intercept, variances, r2] = ["intercept", "variances", "r2"].map((name) =>
        this.values(`${root}.${name}`, [size])
      );
      const coef = hostMatrix(this.values(`${root}.coef`, [width, size]), [width, size]);
      return [[group, { coef, intercept, variances, r2 }]];
    });
    return new Map(found);
  }
}

/**
 * Reads what {@link writeScorers} wrote.
 *
 * @throws {InputError} when the file holds no scorers, a tensor is missing, of another shape or not finite
 */
export function readScorers(gpu: Gpu, path: string): Scorers {
  using file = openSafetensors(path);
  const reader = new ScorerReader(path, file.tensors);
  const about = reader.about(file.metadata), { groups, features, network, weights } = about;
  const described = Object.entries(about.scorers).map(([group, { sizes, fit }]) => ({
    ...{ group: Number(group), sizes, fit },
    values: new Map(
      [...scorerShapes(sizes)].map(([name, shape]) => [
        name,
        reader.values(`groups.${group}.scorer.${name}`, shape),
      ]),
    ),
  }));
  const readouts = reader.readouts(about);
  const scorers = new Map(described.map(({ group, sizes, values }) => [
    group,
    new LatentScorer(gpu, sizes, { key: randomKey(0), values }), // no tensor is left to draw
  ]));
  const fits = new Map(described.map(({ group, fit }) => [group, fit]));
  return new Scorers({ groups, features, network, weights, fits, readouts }, scorers);
}
