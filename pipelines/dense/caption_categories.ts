/**
 * What a region is about, in words: the category of the caption whose similarity map is most like the region's relevance map.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";

/** A category with captions that stand for it. */
export interface CaptionCategory {
  /** Its name. */
  readonly name: string;
  /** Captions. */
  readonly captions: readonly string[];
}

const photosOf = (...things: readonly string[]): string[] =>
  things.map((thing) => `A photo of ${thing}`);

/** The 54 captions of BrainSAIL's category assignment (arXiv 2410.05266, appendix), in the paper's order. */
export const brainSailCategories: readonly CaptionCategory[] = [
  {
    name: "face",
    captions: [
      "A face facing the camera",
      ...photosOf("a face", "a human face", "faces", "a person's face"),
      "A person looking at the camera",
      "People looking at the camera",
      "A portrait of a person",
      "A portrait photo",
    ],
  },
  {
    name: "body",
    captions: [
      ...photosOf("a torso", "torsos", "limbs", "bodies", "a person", "people", "a body"),
      "A person's arms",
      "A person's legs",
      ...photosOf("hands"),
    ],
  },
  {
    name: "scene",
    captions: [
      ...photosOf("a bedroom", "an office", "a hallway", "a doorway", "interior design"),
      ...photosOf("a building", "a house", "nature", "landscape"),
      "A landscape photo",
      ...photosOf("trees", "grass"),
    ],
  },
  {
    name: "food",
    captions: [
      ...photosOf("food", "cuisine", "fruit", "foodstuffs", "a meal", "bread", "rice", "a snack"),
      ...photosOf("pastries", "vegetables", "pizza", "soup", "meat", "candy"),
    ],
  },
  {
    name: "text",
    captions: [
      ...photosOf("words", "glyphs", "a glyph", "text", "numbers", "a letter", "letters"),
      ...photosOf("writing", "text on an object"),
    ],
  },
];

/** One list of captions as it lies on disk. */
export interface CaptionList {
  /** File name; the category is called so, without an ending `.txt`. */
  readonly name: string;
  /** One caption a line; empty lines are passed over. */
  readonly text: string;
}

/**
 * Categories from lists of captions, in their order.
 *
 * @throws {InputError} when there is no list, a list is empty, two have one name, or a caption is there twice
 */
export function parseCaptionLists(lists: readonly CaptionList[]): CaptionCategory[] {
  if (lists.length === 0) {
    throw new InputError("Cannot assign categories: there is no caption list");
  }
  const owners = new Map<string, string>(), names = new Set<string>();
  return lists.map(({ name: file, text }) => {
    const name = file.replace(/\.txt$/i, "");
    if (names.has(name)) {
      throw new InputError(`Cannot assign categories: two lists are called ${quote(name)}`);
    }
    names.add(name);
    const captions = text.replace(/^\uFEFF/, "").split(/\r?\n/).map((line) => line.trim())
      .filter((line) => line !== "");
    if (captions.length === 0) {
      throw new InputError(`Cannot assign categories: the list ${quote(name)} holds no caption`);
    }
    for (const caption of captions) {
      const owner = owners.get(caption);
      if (owner !== undefined) {
        throw new InputError(
          `Cannot assign categories: the caption ${quote(caption)} is in ${quote(owner)} and in ${
            quote(name)
          }, it must be there once`,
        );
      }
      owners.set(caption, name);
    }
    return { name, captions };
  });
}

/** Rows of maps over the same patches. */
export interface PatchMaps {
  /** `[nMaps, nPatches]`, row-major. */
  readonly data: ArrayLike<number>;
  /** Maps and patches. */
  readonly shape: readonly [nMaps: number, nPatches: number];
}

/** Which caption and category each map was assigned. */
export interface CategoryAssignment {
  /** Pearson correlation of every map with every caption's, `[nMaps, nCaptions]`; NaN where either is constant. */
  readonly correlations: Float64Array<ArrayBuffer>;
  /** Caption with the highest correlation, `[nMaps]`, the first of ties; −1 where there is none. */
  readonly best: Int32Array<ArrayBuffer>;
  /** Category that has it, `[nMaps]`; −1 where there is none. */
  readonly category: Int32Array<ArrayBuffer>;
}

/** Rows with mean 0 and length 1; a constant row becomes NaN. */
function unitRows({ data, shape: [rows, n] }: PatchMaps): Float64Array<ArrayBuffer> {
  const unit = new Float64Array(rows * n);
  for (let r = 0; r < rows; r++) {
    const row = unit.subarray(r * n, (r + 1) * n);
    let isConstant = true;
    for (let i = 0; i < n; i++) {
      row[i] = data[r * n + i];
      isConstant &&= row[i] === row[0];
    }
    const mean = row.reduce((sum, value) => sum + value / n, 0);
    const size = Math.sqrt(row.reduce((sum, value) => sum + (value - mean) ** 2, 0));
    for (let i = 0; i < n; i++) row[i] = isConstant ? NaN : (row[i] - mean) / size;
  }
  return unit;
}

function requireMaps(name: string, { data, shape: [rows, n] }: PatchMaps): void {
  if (data.length === rows * n && n > 0) return;
  throw new InputError(
    `Cannot assign categories: ${data.length} values are no ${name} maps [${rows},${n}]`,
  );
}

/**
 * Pearson correlation over the patches of an image of every map with every caption's similarity map, in float64.
 *
 * @param maps `[nMaps, nPatches]`
 * @param captionMaps `[nCaptions, nPatches]`, as `textSimilarity` gives them
 * @returns `[nMaps, nCaptions]`; NaN where either map is constant
 * @throws {InputError} when the patches differ in number
 */
export function captionCorrelations(
  maps: PatchMaps,
  captionMaps: PatchMaps,
): Float64Array<ArrayBuffer> {
  requireMaps("relevance", maps);
  requireMaps("caption", captionMaps);
  const [rows, n] = maps.shape, [k, m] = captionMaps.shape;
  if (n !== m) {
    throw new InputError(
      `Cannot assign categories: relevance maps have ${n} patches, caption maps ${m}; they must lie on one grid`,
    );
  }
  const a = unitRows(maps), b = unitRows(captionMaps);
  const correlations = new Float64Array(rows * k);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < k; c++) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += a[r * n + i] * b[c * n + i];
      correlations[r * k + c] = Math.max(-1, Math.min(1, sum));
    }
  }
  return correlations;
}

/**
 * The category of each region in one image, BrainSAIL's way: the class that holds the caption with the highest Pearson correlation
 * between the region's relevance map and the caption's similarity map.
 *
 * @param roiMaps `[nRois, nPatches]`
 * @param captionMaps `[nCaptions, nPatches]`, captions in the order of the categories
 * @throws {InputError} when the patches differ in number, or there are not as many captions as the categories have
 */
export function assignCategories(
  roiMaps: PatchMaps,
  captionMaps: PatchMaps,
  categories: readonly CaptionCategory[],
): CategoryAssignment {
  const owner = categories.flatMap(({ captions }, c) => captions.map(() => c));
  const [k] = captionMaps.shape, [rows] = roiMaps.shape;
  if (owner.length !== k) {
    throw new InputError(
      `Cannot assign categories: there are ${k} caption maps for ${owner.length} captions`,
    );
  }
  const correlations = captionCorrelations(roiMaps, captionMaps);
  const best = new Int32Array(rows).fill(-1), category = new Int32Array(rows).fill(-1);
  for (let r = 0; r < rows; r++) {
    let highest = -Infinity;
    for (let c = 0; c < k; c++) {
      if (!(correlations[r * k + c] > highest)) continue;
      highest = correlations[r * k + c];
      best[r] = c;
      category[r] = owner[c];
    }
  }
  return { correlations, best, category };
}

/**
 * How many of the top images of each region were assigned to each category.
 *
 * @param assigned categories of the top images of each region; −1, for an image without one, counts nowhere
 * @returns `[nRois, nCategories]`
 * @throws {InputError} for a category that is not there
 */
export function confusionCounts(
  assigned: readonly ArrayLike<number>[],
  nCategories: number,
): Uint32Array<ArrayBuffer> {
  const counts = new Uint32Array(assigned.length * nCategories);
  assigned.forEach((images, r) => {
    for (let i = 0; i < images.length; i++) {
      const category = images[i];
      if (!(Number.isInteger(category) && category >= -1 && category < nCategories)) {
        throw new InputError(
          `Cannot count category ${category}: there are ${nCategories}, counted from 0`,
        );
      }
      if (category >= 0) counts[r * nCategories + category]++;
    }
  });
  return counts;
}
