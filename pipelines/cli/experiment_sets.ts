/**
 * The images of an experiment: those made for regions, as they are shown, controls, and the pictures that edits began with.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, randomKey } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import { pilResize } from "../images/pil_resize.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { openImages } from "../io/images.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { parseJsonObject, quote } from "../io/strict_json.ts";
import type { PresentedImage } from "../optvis/presentation.ts";
import type { ReportPicture } from "../vwam/experiment_report.ts";
import { bytesOf, type MadeImages, openMadeImages } from "../vwam/made_images.ts";
import {
  type ImageSet,
  pictureSet,
  presentedSet,
  presenterOf,
  scrambledSet,
} from "./experiment_images.ts";
import type { ExperimentCliOptions } from "./experiment_run.ts";

/** A set that is a condition of the experiment. */
export interface SetCondition {
  /** Its place among the sets. */
  readonly set: number;
  readonly name: string;
  readonly about: string;
  /** Whether its images are the made ones, changed. */
  readonly isChanged: boolean;
  /** What its images were made for; the same as the made ones where undefined. */
  readonly names?: readonly string[];
}

/** An edited picture. */
export interface EditedPicture {
  /** Its number among the made images. */
  readonly image: number;
  /** The number of what it was made from among the originals. */
  readonly original: number;
  readonly values: Float32Array;
  readonly before: Float32Array;
}

/** Everything that encoders are asked about. */
export interface ExperimentSets extends Disposable {
  /** The made images first. */
  readonly sets: readonly ImageSet[];
  readonly conditions: readonly SetCondition[];
  /** What each made image is for. */
  readonly targets: readonly string[];
  /** Encoders that each was made with, those that were pooled too, where that is known. */
  readonly madeWith: readonly (readonly string[] | undefined)[];
  readonly edited: readonly EditedPicture[];
  /** Place of the originals among the sets; −1 without them. */
  readonly originals: number;
  readonly facts: readonly string[];
  /** Pictures for a report. */
  pictures(): Promise<ReportPicture[]>;
  /** Hands over what a screen shows, image by image. */
  writePrepared(write: (name: string, image: RgbImage) => void): Promise<void>;
}

/** Pictures of a target in a row of a report, and their side. */
const MOST_PICTURES = 6, PICTURE = 160;

/** Several folders as one set. */
function joined(folders: readonly MadeImages[], name: string): ImageSet {
  const [height, width] = folders[0].size;
  const other = folders.find(({ size }) => size[0] !== height || size[1] !== width);
  if (other) {
    throw new InputError(
      `Cannot join ${quote(folders[0].folder)} and ${
        quote(other.folder)
      }: images of ${height}x${width} and ${other.size.join("x")}`,
    );
  }
  const places = folders.flatMap((folder) =>
    Array.from({ length: folder.n }, (_, i) => ({ folder, i }))
  );
  const length = 3 * height * width;
  return {
    ...{ name, n: places.length, size: { height, width } },
    read(start, end) {
      const data = new Float32Array((end - start) * length);
      places.slice(start, end).forEach(({ folder, i }, at) =>
        data.set(folder.read(i, i + 1), at * length)
      );
      return data;
    },
  };
}

/** The encoder that a folder's images were made with, and those that it was pooled from; nothing where it cannot be told. */
async function encodersOf(
  { attributes: { encoder } }: MadeImages,
): Promise<readonly string[] | undefined> {
  if (typeof encoder !== "string") return undefined;
  try {
    using file = await Hdf5File.open(encoder);
    const text = new TextEncoder().encode(String(file.attributes().options));
    const { pooledFrom } = parseJsonObject(
      text,
      `Cannot read the options of ${quote(encoder)}: they`,
    );
    return [encoder, ...Array.isArray(pooledFrom) ? pooledFrom.map(String) : []];
  } catch (cause) {
    if (cause instanceof InputError) return undefined; // moved or removed meanwhile
    throw cause;
  }
}

/** Edited images with their originals. */
async function editedOf(
  reference: string,
  folders: readonly MadeImages[],
  made: ImageSet,
): Promise<{ edited: EditedPicture[]; set: ImageSet }> {
  using source = await openImages(reference);
  const pictures = Array.from({ length: source.n }, (_, i) => source.read(i));
  const set = pictureSet(pictures, made.size);
  const edited: EditedPicture[] = [];
  let image = 0;
  for (const { pictures: names, targets } of folders) {
    for (let i = 0; i < targets.length; i++, image++) {
      if (names === undefined) continue;
      const original = source.names.indexOf(names[i]);
      if (original < 0) {
        throw new InputError(
          `Cannot find the picture ${quote(names[i])} that images were made from in ${
            quote(reference)
          }`,
        );
      }
      const [values, before] = [
        await made.read(image, image + 1),
        await set.read(original, original + 1),
      ];
      edited.push({ image, original, values, before });
    }
  }
  return { edited, set };
}

/** The first images of every target, small. */
async function reportPictures(
  set: ImageSet,
  targets: readonly string[],
  { most, label }: { readonly most: number; readonly label: (i: number) => string },
): Promise<ReportPicture[]> {
  const counts = new Map<string, number>(), out: ReportPicture[] = [];
  const { size: { height, width } } = set, scale = Math.min(1, PICTURE / Math.max(height, width));
  for (const [i, target] of targets.entries()) {
    const count = counts.get(target) ?? 0;
    counts.set(target, count + 1);
    if (/^\d+$/.test(target) || count >= most) continue;
    const image = bytesOf(await set.read(i, i + 1), [height, width]);
    const size = { height: Math.round(scale * height), width: Math.round(scale * width) };
    out.push({ target, label: label(i), image: pilResize(image, { ...size, filter: "lanczos" }) });
  }
  return out;
}

/** Pictures of the made images, then of those prepared for a screen, as many of each. */
async function allPictures(
  sets: readonly ImageSet[],
  { targets, seeds }: { readonly targets: readonly string[]; readonly seeds: readonly number[] },
): Promise<ReportPicture[]> {
  const most = MOST_PICTURES / sets.length, all: ReportPicture[] = [];
  for (const set of sets) {
    const more = set.name === "prepared" ? ", prepared" : "";
    const label = (i: number) => `seed ${seeds[i]}${more}`;
    all.push(...await reportPictures(set, targets, { most, label }));
  }
  return all;
}

/**
 * Opens the images that the options name.
 *
 * @throws {InputError} when a folder lacks something, sizes differ, or an option cannot be
 */
export async function openSets(gpu: Gpu, options: ExperimentCliOptions): Promise<ExperimentSets> {
  const opened: MadeImages[] = [];
  const close = () => opened.forEach((folder) => folder.close());
  try {
    for (const folder of [...options.images, ...options.control ?? []]) {
      opened.push(await openMadeImages(folder));
    }
    return { ...await setsOf(gpu, options, opened), [Symbol.dispose]: close };
  } catch (cause) {
    close();
    throw cause;
  }
}

async function setsOf(
  gpu: Gpu,
  options: ExperimentCliOptions,
  opened: readonly MadeImages[],
): Promise<Omit<ExperimentSets, typeof Symbol.dispose>> {
  const folders = opened.slice(0, options.images.length);
  const controls = opened.slice(options.images.length);
  const made = joined(folders, "made"), targets = folders.flatMap((folder) => folder.targets);
  const sets: ImageSet[] = [made], conditions: SetCondition[] = [];
  const add = (set: ImageSet, condition: Omit<SetCondition, "set">) =>
    conditions.push({ ...condition, set: sets.push(set) - 1 });
  const present = await presenterOf(gpu, options);
  const show = present &&
    ((i: number): Promise<PresentedImage> =>
      Promise.resolve(made.read(i, i + 1)).then((values) =>
        present(bytesOf(values, [made.size.height, made.size.width]))
      ));
  if (show) {
    add(presentedSet(made, show), {
      ...{ name: "prepared", about: "the made images as the screen shows them", isChanged: true },
    });
  }
  if (options.scrambled) {
    add(scrambledSet(gpu, made, foldIn(randomKey(options.seed), 2)), {
      ...{ name: "phase-scrambled", about: "the made images with random phases", isChanged: true },
    });
  }
  for (const control of controls) {
    add(joined([control], control.folder), {
      ...{ name: control.folder.replace(/\/+$/, "").replace(/^.*\//s, ""), isChanged: false },
      ...{ about: `images of ${control.folder}`, names: control.targets },
    });
  }
  const pictures = options.originals === undefined
    ? undefined
    : await editedOf(options.originals, folders, made);
  const originals = pictures ? sets.push(pictures.set) - 1 : -1;
  const madeWith: (readonly string[] | undefined)[] = [];
  for (const folder of folders) {
    const paths = await encodersOf(folder);
    for (let i = 0; i < folder.n; i++) madeWith.push(paths);
  }
  const seeds = folders.flatMap((folder) => [...folder.seeds]);
  return {
    ...{ sets, conditions, targets, madeWith, originals, edited: pictures?.edited ?? [] },
    facts: [...new Set(madeWith)].flatMap((paths) =>
      paths ? [`made with ${paths.join(", ")}`] : []
    ),
    pictures: () => allPictures(show ? [made, sets[1]] : [made], { targets, seeds }),
    async writePrepared(write) {
      if (!show) return;
      for (let i = 0; i < made.n; i++) write(String(i).padStart(5, "0"), (await show(i)).image);
    },
  };
}
