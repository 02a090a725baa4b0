/**
 * Ground truth from COCO, whose images NSD shows: captions, and objects with their outlines.
 *
 * Files: `captions_{train,val}2017.json` and `instances_{train,val}2017.json`; NSD has images of both parts.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { jsonItems } from "../io/json_items.ts";
import { isJsonObject, type JsonObject, quote } from "../io/strict_json.ts";
import type { CocoShape } from "./coco_mask.ts";

/** An object that COCO's annotators outlined. */
export interface CocoObject {
  /** Its category, `person`. */
  readonly category: string;
  /** The group of its category, `food`. */
  readonly supercategory: string;
  /** Whether it is a group of objects outlined as one. */
  readonly isCrowd: boolean;
  /** Its pixels. */
  readonly shape: CocoShape;
}

/** What is in one image. */
export interface CocoImage {
  /** Rows of COCO's own image, before NSD's crop. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
  /** In the order of the file. */
  readonly objects: readonly CocoObject[];
}

/** Which images to read. */
export interface ReadCocoOptions {
  /** Numbers of COCO images, `cocoId` of the stimuli; all when left out. */
  readonly cocoIds?: Iterable<number>;
}

/** A record of the file, checked as it is asked for. */
class Fields {
  readonly #json: JsonObject;
  readonly #cannot: string;

  constructor(value: unknown, key: string, path: string) {
    this.#cannot = `Cannot read ${quote(path)}: a record of ${quote(key)}`;
    if (!isJsonObject(value)) throw new InputError(`${this.#cannot} is ${quote(value)}`);
    this.#json = value;
  }

  whole(name: string): number {
    const value = this.#json[name];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    throw this.bad(name);
  }

  text(name: string): string {
    const value = this.#json[name];
    if (typeof value === "string") return value;
    throw this.bad(name);
  }

  value(name: string): unknown {
    return this.#json[name];
  }

  bad(name: string): InputError {
    return new InputError(`${this.#cannot} has the ${quote(name)} ${quote(this.#json[name])}`);
  }
}

/**
 * The captions of each image, in the order of the file.
 *
 * @throws {InputError} when the file is missing or damaged
 */
export function readCocoCaptions(
  path: string,
  { cocoIds }: ReadCocoOptions = {},
): Map<number, string[]> {
  const wanted = cocoIds && new Set(cocoIds);
  const captions = new Map<number, string[]>();
  for (const { key, value } of jsonItems(path, ["annotations"])) {
    const fields = new Fields(value, key, path);
    const id = fields.whole("image_id");
    if (wanted && !wanted.has(id)) continue;
    const caption = fields.text("caption").trim();
    const own = captions.get(id);
    if (own) own.push(caption);
    else captions.set(id, [caption]);
  }
  return captions;
}

/** The outline of an object: polygons, or runs as numbers or as text. */
function shapeOf(fields: Fields): CocoShape {
  const value = fields.value("segmentation");
  const isNumbers = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((x) => typeof x === "number" && Number.isFinite(x));
  if (Array.isArray(value)) {
    if (value.every((list) => isNumbers(list) && list.length % 2 === 0)) {
      return { polygons: value };
    }
  } else if (isJsonObject(value)) {
    const { counts, size } = value;
    const isSize = isNumbers(size) && size.length === 2;
    if (isSize && (typeof counts === "string" || isNumbers(counts))) {
      return { counts, size: [size[0], size[1]] };
    }
  }
  throw fields.bad("segmentation");
}

/**
 * The objects of each image.
 *
 * @throws {InputError} when the file is missing or damaged, or an object belongs to no image or category of it
 */
export function readCocoObjects(
  path: string,
  { cocoIds }: ReadCocoOptions = {},
): Map<number, CocoImage> {
  const wanted = cocoIds && new Set(cocoIds);
  const sizes = new Map<number, { height: number; width: number }>();
  const categories = new Map<number, { category: string; supercategory: string }>();
  const found: { id: number; category: number; isCrowd: boolean; shape: CocoShape }[] = [];
  for (const { key, value } of jsonItems(path, ["images", "annotations", "categories"])) {
    const fields = new Fields(value, key, path);
    const id = fields.whole(key === "annotations" ? "image_id" : "id");
    if (key === "categories") {
      const group = fields.value("supercategory");
      const supercategory = typeof group === "string" ? group : "";
      categories.set(id, { category: fields.text("name"), supercategory });
    } else if (wanted && !wanted.has(id)) continue;
    else if (key === "images") {
      sizes.set(id, { height: fields.whole("height"), width: fields.whole("width") });
    } else {
      const isCrowd = fields.value("iscrowd") === 1;
      found.push({ id, category: fields.whole("category_id"), isCrowd, shape: shapeOf(fields) });
    }
  }
  const images = new Map<number, CocoImage & { readonly objects: CocoObject[] }>();
  for (const [id, size] of sizes) images.set(id, { ...size, objects: [] });
  for (const { id, category, isCrowd, shape } of found) {
    const image = images.get(id);
    const names = categories.get(category);
    if (!image || !names) {
      throw new InputError(
        `Cannot read ${
          quote(path)
        }: an object is of image ${id} and category ${category}, of which ` +
          `${image ? "the category" : "the image"} is not in the file`,
      );
    }
    image.objects.push({ ...names, isCrowd, shape });
  }
  return images;
}
