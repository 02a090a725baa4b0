/** Writes stimuli and simulated responses as the files that analyses of inferior temporal recordings start from. */

import { mosaic } from "../images/mosaic.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { csvOf } from "../io/csv.ts";
import { writeNpy } from "../io/npy.ts";
import { savePng } from "../io/png.ts";
import { type HostArray, hostTensor } from "../io/state_dict.ts";
import {
  IT_CATEGORIES,
  IT_CONTENT,
  IT_FACTORS,
  IT_POSE,
  IT_SIDE,
  type ItStimuli,
  renderItStimuli,
} from "./it_stimuli.ts";
import { type ItResponses, simulateIt } from "./it_population.ts";
import { writeFile } from "./nsd_layout.ts";

const SHEET = 64; // Images of the contact sheet.

/** Options of {@link writeIt}. */
export interface WriteItOptions {
  /** Images. */
  readonly n: number;
  /** Of all draws. */
  readonly seed: number;
  /** Also writes every image as `images/<image_id>.png`. */
  readonly png?: boolean;
}

const idOf = (image: number): string => `it_${String(image).padStart(5, "0")}`;

/** A grey picture of an image, −1…1. */
function pictureOf(image: Float32Array): RgbImage {
  const side = Math.sqrt(image.length);
  const data = Uint8Array.from({ length: 3 * image.length }, (_, at) => {
    const value = image[Math.floor(at / 3)];
    return Math.round(127.5 * (Math.min(1, Math.max(-1, value)) + 1));
  });
  return { height: side, width: side, data };
}

/**
 * The table of stimuli in the columns of brain-score's HvM set. The rotations of an object's own frame are those of the image's, and all
 * images have variation 6, the set's fullest.
 */
function tableOf({ scenes }: ItStimuli): string {
  const names = ["image_id", "id", "image_file_name", "filename", "background_id", "object_name"];
  const rotations = ["rxy", "rxz", "ryz"] as const;
  const semantic = rotations.map((name) => `${name}_semantic`);
  const head = [...names, "category_name", "variation", "size", ...IT_POSE, ...semantic];
  const rows = scenes.map(({ category, values }, i) => {
    const id = idOf(i), name = IT_CATEGORIES[category];
    const own = [id, i, `${id}.png`, `images/${id}.png`, "uniform", name, name, 6, IT_SIDE];
    return [...own, ...IT_POSE.map((f) => values[f]), ...rotations.map((f) => values[f])];
  });
  const rest = [...IT_CONTENT, "background"] as const;
  return csvOf([
    [...head, ...rest],
    ...rows.map((row, i) => [...row, ...rest.map((f) => scenes[i].values[f])]),
  ]);
}

/**
 * Draws stimuli, simulates two monkeys' sites and writes `stimuli.npy` `[n, 32, 32]`, `responses.npy` `[n, 168]`, `pose.npy` `[n, 6]`,
 * `categories.npy` `[n]`, `content.npy` `[n, 2]`, `background.npy` `[n]`, `stimuli.csv`, `stimuli.png` and `sites.json`.
 *
 * @throws {InputError} as `renderItStimuli` says, or when the file system refuses
 */
export function writeIt(
  folder: string,
  { n, seed, png = false }: WriteItOptions,
): ItStimuli & ItResponses {
  const stimuli = renderItStimuli(n, { seed }), it = simulateIt(stimuli, { seed });
  const { images, pose, categories, content, background } = stimuli;
  const arrays: [string, HostArray, number[]][] = [
    ["stimuli", images, [n, IT_SIDE, IT_SIDE]],
    ["responses", it.responses, [n, it.sites.length]],
    ["pose", pose, [n, IT_POSE.length]],
    ["categories", categories, [n]],
    ["content", content, [n, IT_CONTENT.length]],
    ["background", background, [n]],
  ];
  for (const [name, data, shape] of arrays) {
    writeFile(`${folder}/${name}.npy`, writeNpy(hostTensor(data, shape)));
  }
  writeFile(`${folder}/stimuli.csv`, tableOf(stimuli));
  const plain = (_: string, value: unknown) => value instanceof Float64Array ? [...value] : value;
  const known = { categories: IT_CATEGORIES, factors: IT_FACTORS, sites: it.sites };
  writeFile(`${folder}/sites.json`, `${JSON.stringify(known, plain, 2)}\n`);
  const picture = (i: number) =>
    pictureOf(images.subarray(i * IT_SIDE ** 2, (i + 1) * IT_SIDE ** 2));
  const sheet = Array.from({ length: Math.min(n, SHEET) }, (_, i) => picture(i));
  savePng(`${folder}/stimuli.png`, mosaic(sheet));
  if (png) {
    Deno.mkdirSync(`${folder}/images`);
    for (let i = 0; i < n; i++) savePng(`${folder}/images/${idOf(i)}.png`, picture(i));
  }
  return { ...stimuli, ...it };
}
