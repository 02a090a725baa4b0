/**
 * A study of the Natural Scenes Dataset, as it lies on disk.
 *
 * @module
 */
import { type CocoImage, type CocoObject, readCocoObjects } from "../nsd/coco.ts";
import { cocoMask } from "../nsd/coco_mask.ts";
import { loadNsd, type LoadNsdOptions } from "../nsd/load_nsd.ts";
import { ATLASES, nsdPaths, regionOf, subjectName } from "../nsd/names.ts";
import { isThere } from "../nsd/read_file.ts";
import { splitShared } from "../nsd/split.ts";
import { NsdStimuli } from "../nsd/stimuli.ts";
import { readStimulusInfo } from "../nsd/stimulus_info.ts";
import { hostMatrix } from "../encoding/host_matrix.ts";
import { openArray, type RowSource } from "../io/array_ref.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import { sharedRows, type Study, type StudySubject, type StudyTruth } from "./study.ts";

/** What to take of the data set. */
export interface NsdStudyOptions extends LoadNsdOptions {
  /** The folder that holds `nsddata`, `nsddata_betas` and `nsddata_stimuli`. */
  readonly nsd: string;
  /** Subjects, from 1; the paper's are 1, 2, 5 and 7. */
  readonly subjects: readonly number[];
  /** Number of shared images to map; all when left out. */
  readonly nMapped?: number;
  /** Array of depths `[n, height, width]`, far = large, one for each of the data set's images; from a depth network, for example. */
  readonly depth?: string;
}

/** COCO's supercategories and categories that make the paper's categories; faces, places and words have no outlines there. */
const COCO_CATEGORIES: Readonly<Record<string, (object: CocoObject) => boolean>> = {
  body: ({ category }) => category === "person",
  food: ({ supercategory }) => supercategory === "food",
};

/** Masks from COCO's outlines, where its annotations lie beside the data set. */
async function openCoco(
  root: string,
  nsdIds: Uint32Array,
  mapped: Uint32Array,
): Promise<Pick<StudyTruth, "categories" | "mask">> {
  const none = { categories: [], mask: () => undefined };
  const path = `${root}/${nsdPaths.stimulusInfo}`;
  if (!isThere(path)) return none;
  const info = await readStimulusInfo(path);
  const rowOf = new Map(Array.from(info.nsdId, (id, row) => [id, row]));
  const rows = Array.from(mapped, (row) => rowOf.get(nsdIds[row]));
  const splits = new Set(rows.map((row) => row === undefined ? "" : info.cocoSplit[row]));
  const images = new Map<number, CocoImage>();
  const names = new Set<string>();
  for (const split of splits) {
    const file = `${root}/${nsdPaths.coco("instances", split)}`;
    if (split === "" || !isThere(file)) continue;
    const cocoIds = rows.flatMap((row) => row === undefined ? [] : [info.cocoId[row]]);
    for (const [id, image] of readCocoObjects(file, { cocoIds })) {
      images.set(id, image);
      for (const { category } of image.objects) names.add(category);
    }
  }
  if (images.size === 0) return none;
  // Outlines under a category's own name are the category (a data set with faces outlined has a category "face").
  const own = ["face", "body", "place", "food", "word"].filter((name) => names.has(name));
  const categories = [...new Set([...own, ...Object.keys(COCO_CATEGORIES)])];
  return {
    categories,
    mask(row, category) {
      const at = rowOf.get(nsdIds[row]);
      const image = at === undefined ? undefined : images.get(info.cocoId[at]);
      if (at === undefined || image === undefined || !categories.includes(category)) {
        return undefined;
      }
      const isIn = own.includes(category)
        ? (object: CocoObject) => object.category === category
        : COCO_CATEGORIES[category];
      const shapes = image.objects.filter(isIn).map(({ shape }) => shape);
      const size = [425, 425] as const;
      const cropBox = info.cropBox.subarray(4 * at, 4 * at + 4);
      return { data: cocoMask(shapes, image, { cropBox, size }), size: [425, 425] };
    },
  };
}

function depthOf(depth: RowSource | undefined, nsdIds: Uint32Array): StudyTruth["depth"] {
  if (!depth) return () => undefined;
  const [n, height, width] = depth.shape;
  return (row) => {
    const id = nsdIds[row];
    if (id >= n) return undefined;
    return { data: depth.readRows(id, id + 1), size: [height, width] };
  };
}

/**
 * Opens a study of the Natural Scenes Dataset: the images of a subject alone to fit, the shared ones to test and to map; the noise
 * ceiling from ncsnr and the numbers of repeats. Masks come from COCO's annotations where they lie in `coco/annotations`, for bodies and
 * food. The caller disposes it.
 *
 * @throws {InputError} when a file is missing or damaged, or the subjects share no image
 */
export async function openNsdStudy(
  { nsd, subjects: wanted, nMapped, depth: depthRef, ...options }: NsdStudyOptions,
): Promise<Study> {
  using opened = new DisposableStack();
  const stimuli = opened.use(await NsdStimuli.open(nsd));
  const depth = depthRef === undefined ? undefined : opened.use(await openArray(depthRef));
  if (depth && depth.shape.length !== 3) {
    throw new InputError(
      `Cannot use ${
        quote(depthRef)
      } as depths: they must be [images, height, width], it is [${depth.shape}]`,
    );
  }
  const parts: { subject: number; data: Awaited<ReturnType<typeof loadPart>> }[] = [];
  for (const subject of wanted) {
    parts.push({ subject, data: await loadPart(nsd, subject, options) });
  }
  const nsdIds = Uint32Array.from(
    new Set(parts.flatMap(({ data }) => [...data.train.nsdIds, ...data.test.nsdIds])),
  ).sort();
  const rowOf = new Map(Array.from(nsdIds, (id, row) => [id, row]));
  const rowsOf = (ids: Uint32Array) => Uint32Array.from(ids, (id) => rowOf.get(id)!);
  const subjects: StudySubject[] = parts.map(({ subject, data: { train, test, voxels } }) => ({
    name: subjectName(subject),
    trainRows: rowsOf(train.nsdIds),
    train: hostMatrix(train.responses, [train.nsdIds.length, voxels.ncsnr.length]),
    testRows: rowsOf(test.nsdIds),
    test: hostMatrix(test.responses, [test.nsdIds.length, voxels.ncsnr.length]),
    noiseCeiling: test.noiseCeiling,
    rois: orderedRois(voxels.rois),
    places: { volume: { volumeIndex: voxels.volumeIndex, volumeShape: voxels.volumeShape } },
  }));
  const mappedRows = sharedRows(subjects, nMapped);
  const coco = await openCoco(nsd, nsdIds, mappedRows);
  const held = opened.move();
  return {
    images: {
      files: [`${nsd}/${nsdPaths.stimuli}`],
      names: Array.from(nsdIds, (id) => `nsd${String(id).padStart(5, "0")}`),
      read(i) {
        const [image] = stimuli.read([nsdIds[i]]);
        return image;
      },
    },
    subjects,
    mappedRows,
    truth: { ...coco, depth: depthOf(depth, nsdIds) },
    [Symbol.dispose]: () => held.dispose(),
  };
}

/** Regions in the order of the atlases, so that all subjects have the same. */
function orderedRois(rois: ReadonlyMap<string, Uint32Array<ArrayBuffer>>): RoiVoxels[] {
  const order = Object.values(ATLASES).flatMap((names) => Object.values(names).map(regionOf));
  const place = (name: string) => {
    const at = order.indexOf(name.replace(/^[lr]h\./, ""));
    return at < 0 ? order.length : at;
  };
  return [...rois].map(([name, voxels]) => ({ name, voxels }))
    .sort((a, b) => place(a.name) - place(b.name) || (a.name < b.name ? -1 : 1));
}

async function loadPart(nsd: string, subject: number, options: LoadNsdOptions) {
  const all = await loadNsd(nsd, subject, options);
  const { train, test } = splitShared(all);
  const { volumeIndex, volumeShape, rois, ncsnr } = all;
  return { train, test, voxels: { volumeIndex, volumeShape, rois, ncsnr } };
}
