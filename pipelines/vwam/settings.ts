/**
 * How images are made, as data: a published preset brought to a network's size, and what a user changes of it.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { type JsonObject, quote } from "../io/strict_json.ts";
import type { ImageParam } from "../optvis/image_param.ts";
import type { MagnitudeTemplate } from "../optvis/magnitude_template.ts";
import type { Objective } from "../optvis/objective.ts";
import { scaleObjective } from "../optvis/objective.ts";
import { budgetParam, type PixelBudget } from "../optvis/param_budget.ts";
import { seedParam } from "../optvis/param_seed.ts";
import { seedPenalty } from "../optvis/penalties.ts";
import {
  type OptvisPreset,
  type OptvisPresetName,
  optvisPresets,
  presetParam,
} from "../optvis/presets.ts";
import type { ImageEncoder } from "./image_encoder.ts";

/** The names of the presets. */
export const presetNames: readonly OptvisPresetName[] = ["vwam", "lucid", "maco", "accentuate"];

/**
 * A preset for a network. MACO's crops are twice the side of the network's input, as Horama has them for its own.
 *
 * @throws {InputError} for a name that is no preset
 */
export function presetFor(
  { recipe: { size: [height, width] } }: Pick<ImageEncoder, "recipe">,
  name: string,
): OptvisPreset {
  const known = presetNames.find((preset) => preset === name);
  if (!known) {
    throw new InputError(
      `Cannot find the preset ${quote(name)}: there are ${presetNames.join(", ")}`,
    );
  }
  const preset = optvisPresets[known];
  const output = { height: 2 * height, width: 2 * width };
  const steps = preset.transforms.steps.map((step) =>
    step.kind === "box" ? { ...step, output } : step
  );
  return { ...preset, transforms: { ...preset.transforms, steps } };
}

const NUMBERS = ["size", "steps", "redirectedSteps", "seedPenalty"] as const;
const PARTS = ["param", "optimizer", "transforms"] as const;

/** Refuses a value of a part that the preset has with another type; what the preset leaves out is checked where it is used. */
function requireType(path: string, value: unknown, old: unknown): void {
  const kind = (v: unknown) => Array.isArray(v) ? "list" : typeof v;
  if (old === undefined || kind(value) === kind(old)) return;
  throw new InputError(`Cannot change ${path} to ${quote(value)}: it must be a ${kind(old)}`);
}

/** Names that a part may have beside those that the preset gives. */
const MORE: Readonly<Record<(typeof PARTS)[number], readonly string[]>> = {
  param: ["kind", "colors", "squash", "sd", "gray", "decayPower", "eps"],
  optimizer: ["name", "lr", "betas", "eps", "lastLr"],
  transforms: ["steps", "crops", "fill", "output", "normalNoise", "uniformNoise", "isShared"],
};

/**
 * A preset with some of its values changed: `{ "optimizer": { "lr": 0.1 }, "transforms": { "steps": [] } }`.
 *
 * @param changes as JSON has them, by the names of `OptvisPreset`; parts are merged, lists replaced
 * @throws {InputError} for a name or a type that the preset does not have
 */
export function changedPreset(
  preset: OptvisPreset,
  changes: Readonly<Record<string, unknown>>,
): OptvisPreset {
  let result: OptvisPreset = preset;
  for (const [key, value] of Object.entries(changes)) {
    const part = PARTS.find((name) => name === key);
    if (part) {
      requireType(key, value, {});
      const own = preset[part] as unknown as JsonObject;
      for (const [name, inner] of Object.entries(value as JsonObject)) {
        if (!MORE[part].includes(name)) fail(`${key}.${name}`, MORE[part]);
        requireType(`${key}.${name}`, inner, own[name]);
        if (name === "kind" && inner !== own.kind) {
          throw new InputError(
            `Cannot make ${quote(own.kind)} images ${quote(inner)}: choose the preset of that kind`,
          );
        }
      }
      result = { ...result, [part]: { ...own, ...value as JsonObject } };
    } else if (NUMBERS.some((name) => name === key)) {
      requireType(key, value, 0);
      result = { ...result, [key]: value };
    } else fail(key, [...PARTS, ...NUMBERS]);
  }
  return result;
}

function fail(name: string, known: readonly string[]): never {
  throw new InputError(`Cannot change ${quote(name)}: a preset has ${known.join(", ")}`);
}

/** What images are made from besides a preset. */
export interface Canvas {
  /** Size of the images; the preset's square when absent. */
  readonly size?: ImageSize;
  /** Magnitudes for `"maco"`, of the size. */
  readonly template?: MagnitudeTemplate;
  /** The picture to start from. */
  readonly picture?: RgbImage;
  /** How far images may go from it. */
  readonly budget?: PixelBudget;
}

/** A parameterisation and what is added to the score of its images. */
export interface Start extends Disposable {
  readonly param: ImageParam;
  /** Minus the weighted distance from the picture, where a preset has it. */
  readonly penalty?: Objective;
}

/**
 * The parameterisation of a preset. Within a budget the distance from the picture costs nothing.
 *
 * @throws {InputError} when a picture is missing or has no use, or a budget cannot be
 */
export function startOf(
  gpu: Gpu,
  { param: kind, size: side, seedPenalty: weight }: OptvisPreset,
  { size = { height: side, width: side }, template, picture, budget }: Canvas,
): Start {
  if (kind.kind !== "seed") {
    if (picture || budget) {
      throw new InputError(
        `Cannot start ${kind.kind} images from a picture: take the preset accentuate`,
      );
    }
    const param = presetParam(gpu, { param: kind, size: side }, { size, template });
    return { param, [Symbol.dispose]: () => param[Symbol.dispose]() };
  }
  if (!picture) throw new InputError("Cannot accentuate: there must be a picture to start from");
  const param = budget
    ? budgetParam(gpu, picture, size, { ...kind, ...budget })
    : seedParam(gpu, picture, size, kind);
  const isFree = budget !== undefined || weight === 0;
  return {
    param,
    ...(isFree ? {} : { penalty: scaleObjective(seedPenalty(param.seed), -weight) }),
    [Symbol.dispose]: () => param[Symbol.dispose](),
  };
}
