/**
 * What `gyrus effects` reads: folders of `gyrus steer`, and readouts of factors from images.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { randomKey } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import { parseCsv } from "../io/csv.ts";
import { withFileErrors } from "../io/files.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { toFloat32, toFloat64 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { fitFactorReadouts } from "../mig_vis/factor_readouts.ts";
import { type Factor, type FactorScale, factorScale, type Readings } from "../mig_vis/factors.ts";
import { extractFeatures, type ImageArray, vitFeatures } from "../mig_vis/image_features.ts";
import { IT_STEERED, itReadings, readItImages } from "../mig_vis/it_factors.ts";
import { itReader } from "../phantom/it_readout.ts";
import { drawItScene, IT_SIDE } from "../phantom/it_stimuli.ts";
import { loadModelFile } from "./load_model.ts";
import type { Progress } from "./progress.ts";
import { readSignedImages } from "./signed_images.ts";

/** Images of one folder of `gyrus steer`. */
export interface SteeredFolder {
  /** What it is called. */
  readonly name: string;
  /** Steered images by source, group, then target. */
  readonly images: ImageArray;
  /** What the sources become unsteered. */
  readonly unsteered: ImageArray;
  /** Numbers of the sources. */
  readonly sources: readonly number[];
  /** Groups. */
  readonly groups: readonly number[];
  /** γ; `undefined` where latents of other stimuli were aimed at. */
  readonly gammas?: readonly number[];
  /** Targets of each group and source. */
  readonly nTargets: number;
  /** Of the unsteered images with their sources, in dB. */
  readonly psnr: readonly number[];
}

/**
 * Reads a folder of `gyrus steer`.
 *
 * @param reference the folder, or `name=folder`
 * @throws {InputError} when it is none, or its arrays do not fit each other
 */
export async function readSteered(reference: string): Promise<SteeredFolder> {
  const cut = reference.indexOf("=");
  const path = reference.slice(cut + 1).replace(/\/+$/, "");
  const name = cut > 0 ? reference.slice(0, cut) : path.slice(path.lastIndexOf("/") + 1);
  using file = await Hdf5File.open(`${path}/steer.h5`);
  const numbers = (key: string) => [...toFloat64(file.read(key))];
  const { shape, ...data } = file.read("/images");
  const sources = numbers("/sources"), groups = numbers("/groups"), psnr = numbers("/psnr");
  const targets = file.datasets().includes("/gamma") ? "/gamma" : "/target_index";
  const gammas = numbers(targets), [s, g, t, ...rest] = shape;
  const fits = shape.length === 6 && s === sources.length && g === groups.length &&
    t === gammas.length && psnr.length === s;
  if (!fits) {
    throw new InputError(
      `Cannot judge ${
        quote(path)
      }: its images are [${shape}], of ${sources.length} sources, ${groups.length} groups and ${gammas.length} targets`,
    );
  }
  const each = [rest[0], rest[1], rest[2]] as const;
  return {
    ...{ name, sources, groups, psnr, nTargets: t },
    images: { data: toFloat32({ shape, ...data }), shape: [s * g * t, ...each] },
    unsteered: { data: toFloat32(file.read("/unsteered")), shape: [s, ...each] },
    gammas: targets === "/gamma" ? gammas : undefined,
  };
}

/** Readouts of factors from images. */
export interface ImageReadouts {
  /** Factors with the distance of unrelated stimuli. */
  readonly scale: FactorScale;
  /** Of images, and how far they are from anything that a stimulus can be, where that can be told. */
  readonly read: (
    images: ImageArray,
  ) => Promise<{ readings: Readings; residuals?: Float64Array<ArrayBuffer> }>;
  /** How well held-out stimuli are told, for each factor; 1 is always right. */
  readonly scores?: readonly number[];
}

const N_UNRELATED = 4000; // Scenes that distances of unrelated stimuli are taken from.

/** The phantom's stimuli, drawn again. */
export function drawingReadouts(progress: Progress): ImageReadouts {
  const scenes = Array.from({ length: N_UNRELATED }, (_, i) => drawItScene(0, i));
  const reader = itReader();
  return {
    scale: factorScale(itReadings(scenes), IT_STEERED),
    read: ({ data, shape }) => {
      if (`${shape.slice(1)}` !== `1,${IT_SIDE},${IT_SIDE}`) {
        throw new InputError(
          `Cannot draw images [${shape}] again: the phantom's are [n,1,${IT_SIDE},${IT_SIDE}]`,
        );
      }
      return Promise.resolve(readItImages(data, reader, { onProgress: progress.update }));
    },
  };
}

/**
 * Factors that an option means, `pose=s,ty,tz;category=category_name`, with their columns of a table: numbers, or text for classes.
 *
 * @throws {InputError} for columns that are not there or neither numbers nor names
 */
export function labelsOf(
  text: string,
  path: string,
): { readonly labels: Readings; readonly factors: readonly Factor[] } {
  const source = withFileErrors("read", path, () => Deno.readTextFileSync(path));
  const table = parseCsv(source, `Cannot read the table ${quote(path)}`);
  const columns: number[][] = [];
  const factors = text.split(";").map((part): Factor => {
    const [name, list = ""] = part.split("=").map((word) => word.trim());
    const cells = list.split(",").map((column) => table.get(column.trim()));
    const missing = list.split(",").filter((_, i) => cells[i] === undefined);
    if (name === "" || missing.length > 0) {
      throw new InputError(
        `Cannot read factor ${quote(part)}: ${quote(path)} has no column ${
          missing.map(quote).join(", ") || "of it"
        }`,
      );
    }
    const known = cells.flatMap((column) => column ? [column] : []);
    const isText = known.some((column) => column.some((cell) => !Number.isFinite(Number(cell))));
    if (isText && known.length > 1) {
      throw new InputError(`Cannot read factor ${quote(part)}: a class has one column`);
    }
    const classes = isText ? [...new Set(known[0])].sort() : [];
    const at = columns.length;
    known.forEach((column) =>
      columns.push(column.map((cell) => isText ? classes.indexOf(cell) : Number(cell)))
    );
    return { name, columns: known.map((_, k) => at + k), kind: isText ? "class" : "values" };
  });
  const n = columns[0].length;
  const data = Float64Array.from(
    { length: n * columns.length },
    (_, at) => columns[at % columns.length][Math.floor(at / columns.length)],
  );
  return { labels: { data, shape: [n, columns.length] }, factors };
}

/** What readouts from features are fitted to. */
export interface FeatureReadoutChoice {
  /** Labelled stimuli. */
  readonly images: string;
  /** Their table. */
  readonly table: string;
  /** Its factors. */
  readonly factors: string;
  /** Weights of the network. */
  readonly model: string;
  /** Its configuration. */
  readonly config?: string;
  /** Draws the stimuli that are held out. */
  readonly seed: number;
}

/** Readouts by regression from a network's features; the network is the caller's to dispose of. */
export async function featureReadouts(
  gpu: Gpu,
  { images, table, factors: spec, model, config, seed }: FeatureReadoutChoice,
  { channels, progress }: { readonly channels: number; readonly progress: Progress },
): Promise<ImageReadouts & Disposable> {
  const { labels, factors } = labelsOf(spec, table);
  const { data, shape } = await readSignedImages(images, { channels });
  if (shape[0] !== labels.shape[0]) {
    throw new InputError(
      `Cannot use ${quote(table)}: it has ${labels.shape[0]} rows, there are ${shape[0]} images`,
    );
  }
  const network = await loadModelFile(gpu, { model, config });
  try {
    const features = vitFeatures(network, { range: "unit" });
    const of = (some: ImageArray) =>
      extractFeatures(gpu, features, { ...some, onProgress: progress.update });
    const stimuli: ImageArray = { data, shape: [shape[0], shape[1], shape[2], shape[3]] };
    const fitted = await fitFactorReadouts(gpu, { features: await of(stimuli), labels }, factors, {
      key: randomKey(seed),
    });
    return {
      scale: factorScale(labels, factors),
      read: async (some) => ({ readings: await fitted.read(await of(some)) }),
      scores: factors.map(({ columns }) =>
        columns.reduce((sum, c) => sum + fitted.scores[c], 0) / columns.length
      ),
      [Symbol.dispose]: () => network[Symbol.dispose](),
    };
  } catch (error) {
    network[Symbol.dispose]();
    throw error;
  }
}
