/**
 * What the options of `gyrus maximize` mean: targets, regions, settings, pictures.
 *
 * @module
 */
import { InvalidArgumentError } from "commander";
import type { RoiVoxels } from "../dense/relevance.ts";
import { chooseRois, parseRoiTable } from "../dense/roi_table.ts";
import { InputError } from "../errors.ts";
import { type ImageSize, parseImageSize } from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { openImages } from "../io/images.ts";
import { parseJsonObject, quote } from "../io/strict_json.ts";
import type { OptvisPreset } from "../optvis/presets.ts";
import type { ReadoutPooling } from "../optvis/readout_weights.ts";
import type { ImageEncoder } from "../vwam/image_encoder.ts";
import { changedPreset, presetFor } from "../vwam/settings.ts";
import type { TargetRequest } from "../vwam/targets.ts";
import { type GlobalOptions, realNumber } from "./options.ts";
import { readText } from "./read_text.ts";

/** Options of `gyrus maximize`. */
export interface MaximizeCliOptions extends GlobalOptions {
  readonly model: string;
  readonly config?: string;
  readonly encoder: string;
  readonly roi?: readonly string[];
  readonly voxels?: string;
  readonly rois?: string;
  readonly pooling: ReadoutPooling;
  readonly top: number;
  readonly suppress?: readonly string[];
  readonly suppression: number;
  readonly minimize: boolean;
  readonly preset?: string;
  readonly settings?: string;
  readonly size?: string;
  readonly sizes?: readonly number[];
  readonly shares?: readonly number[];
  readonly steps?: number;
  readonly lr?: number;
  readonly seeds: number;
  readonly batch?: number;
  readonly seedImage?: string;
  readonly maxChange?: number;
  readonly rmsChange?: number;
  readonly templateImages?: string;
  readonly natural?: string;
  readonly checkpoint?: string;
}

/**
 * Parses numbers with commas between them.
 *
 * @throws InvalidArgumentError for anything else
 */
export function numberList(text: string): number[] {
  return text.split(",").map((part) => realNumber(part.trim()));
}

/**
 * Parses a share, `0.03`, or one of the 255 levels of a byte, `8/255`.
 *
 * @throws InvalidArgumentError for anything but a positive number
 */
export function colorChange(text: string): number {
  const [, above, below] = /^([^/]+)\/([^/]+)$/.exec(text) ?? [undefined, text, "1"];
  const value = realNumber(above) / realNumber(below);
  if (value > 0 && value < Infinity) return value;
  throw new InvalidArgumentError("A positive number is needed, as 0.03 or 8/255.");
}

/** Regions of a file: a table with the columns voxel and roi, or JSON `{ "FFA": [0, 4, 7] }`. */
export function readRegions(path: string): RoiVoxels[] {
  const text = readText(path);
  if (!text.trimStart().startsWith("{")) return parseRoiTable(text, path);
  const what = `Cannot read the regions ${quote(path)}: it`;
  const json = parseJsonObject(new TextEncoder().encode(text), what);
  return Object.entries(json).map(([name, voxels]) => {
    const isList = Array.isArray(voxels) && voxels.length > 0 &&
      voxels.every((v) => Number.isSafeInteger(v) && v >= 0);
    if (isList) return { name, voxels };
    throw new InputError(
      `${what} must give every region a list of voxels from 0, ${quote(name)} is ${quote(voxels)}`,
    );
  });
}

/** `A`, or `A-B` where both are regions; names may have hyphens themselves. */
function requestOf(text: string, regions: readonly RoiVoxels[]): TargetRequest {
  const find = (name: string) =>
    regions.find((region) => region.name.toLowerCase() === name.trim().toLowerCase());
  const whole = find(text);
  if (whole) return { roi: whole };
  for (let at = text.indexOf("-"); at >= 0; at = text.indexOf("-", at + 1)) {
    const roi = find(text.slice(0, at)), against = find(text.slice(at + 1));
    if (roi && against) return { roi, against };
  }
  chooseRois(regions, [text]); // throws, naming the regions there are
  throw new Error("unreachable: a region that is there was not found");
}

/** Voxels of `0,5,10-20`, or all of them. */
function voxelList(text: string, nTargets: number): number[] {
  if (text === "all") return Array.from({ length: nTargets }, (_, voxel) => voxel);
  const voxels = text.split(",").flatMap((part) => {
    const [, first, last] = /^\s*(\d{1,9})(?:-(\d{1,9}))?\s*$/.exec(part) ?? [];
    const from = Number(first), to = last === undefined ? from : Number(last);
    if (first !== undefined && from <= to && to < nTargets) {
      return Array.from({ length: to - from + 1 }, (_, i) => from + i);
    }
    throw new InputError(
      `Cannot make images for voxels ${
        quote(part)
      }: numbers and ranges are needed, as 0,5,10-20, or all; the encoder has ${nTargets}, counted from 0`,
    );
  });
  return [...new Set(voxels)];
}

/**
 * What images are asked for.
 *
 * @throws {InputError} when neither or both of regions and voxels are, or one is not there
 */
export function requestsOf(
  { roi, voxels, rois, suppress }: MaximizeCliOptions,
  nTargets: number,
): { requests: TargetRequest[]; competitors?: RoiVoxels[] } {
  if ((roi === undefined) === (voxels === undefined)) {
    throw new InputError("Cannot choose targets: exactly one of --roi and --voxels is needed");
  }
  if (voxels !== undefined) {
    if (suppress) throw new InputError("Cannot suppress regions: --suppress needs --roi");
    return { requests: voxelList(voxels, nTargets).map((voxel) => ({ voxel })) };
  }
  if (rois === undefined) {
    throw new InputError(
      "Cannot find regions: --rois is missing, a table with the columns voxel and roi or a JSON file",
    );
  }
  const regions = readRegions(rois);
  const requests = roi!.map((text) => requestOf(text, regions));
  const competitors = suppress && chooseRois(regions, suppress);
  const used = requests.flatMap((one) => "roi" in one ? [one.roi, one.against] : []);
  for (const region of [...used, ...competitors ?? []]) {
    const far = region && Array.from(region.voxels).find((voxel) => voxel >= nTargets);
    if (far === undefined) continue;
    throw new InputError(
      `Cannot make images for the region ${
        quote(region!.name)
      }: it has voxel ${far}, the encoder has ${nTargets}, counted from 0`,
    );
  }
  return { requests, competitors };
}

/** How images are made: the preset, changed by the file of settings, changed by flags. */
export function settingsOf(
  image: ImageEncoder,
  { preset, settings, seedImage, steps, lr }: MaximizeCliOptions,
): OptvisPreset {
  const base = presetFor(image, preset ?? (seedImage === undefined ? "vwam" : "accentuate"));
  const what = `Cannot read the settings ${quote(settings)}: the file`;
  const changed = settings === undefined
    ? base
    : changedPreset(base, parseJsonObject(new TextEncoder().encode(readText(settings)), what));
  return {
    ...changed,
    ...(steps === undefined ? {} : { steps }),
    ...(lr === undefined ? {} : { optimizer: { ...changed.optimizer, lr } }),
  };
}

/** Pictures with their names. */
export interface Pictures {
  readonly pictures: readonly RgbImage[];
  readonly names: readonly string[];
  readonly files: readonly string[];
}

/** Reads all pictures that a reference means. */
export async function readPictures(reference: string): Promise<Pictures> {
  using source = await openImages(reference);
  const pictures = Array.from({ length: source.n }, (_, i) => source.read(i));
  return { pictures, names: source.names, files: source.files };
}

/** The size that is asked for. */
export function sizeOf({ size }: MaximizeCliOptions): ImageSize | undefined {
  return size === undefined ? undefined : parseImageSize(size);
}
