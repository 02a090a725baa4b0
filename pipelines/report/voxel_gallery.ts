/**
 * One page for thousands of voxels: a flat map, and for every voxel the images that were made for it.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { pilResize } from "../images/pil_resize.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { writeJpeg } from "../io/jpeg.ts";
import { cssColor } from "./charts.ts";
import { type FlatMap, flatMap } from "./flat_map.ts";
import { dataUri, type Html, html, htmlPage, trusted } from "./html.ts";
import { formatNumber } from "./numbers.ts";
import SCRIPT from "./voxel_gallery_page.js" with { type: "text" };
import { GALLERY_STYLE } from "./voxel_gallery_style.ts";

/** An image of a gallery. */
export interface GalleryImage {
  /** What tells it from the others of its target, such as "seed 3". */
  readonly label: string;
  /** Predicted response. */
  readonly response: number;
  /** Number of the image for {@link GalleryOptions.read}. */
  readonly image: number;
}

/** A voxel or region with its images. */
export interface GalleryTarget {
  /** What it is called: a region, or "voxel 12". */
  readonly name: string;
  /** Voxel on the map; nothing for a region. */
  readonly voxel?: number;
  /** Images, the first of which stands for it. */
  readonly images: readonly GalleryImage[];
}

/** One way to colour the map. */
export type GalleryColoring =
  & { readonly name: string }
  & (
    | Required<Pick<FlatMap, "values">> & Pick<FlatMap, "range" | "colormap">
    | Required<
      Pick<FlatMap, "colors">
    >
      & {
        /** What red, green and blue are. */
        readonly legend: string;
      }
  );

/** A gallery. */
export interface VoxelGallery {
  /** Heading. */
  readonly title: string;
  /** A few words each, below the heading. */
  readonly facts?: readonly string[];
  /** Voxels and regions with images. */
  readonly targets: readonly GalleryTarget[];
  /** Where voxels lie; voxel `v` of the targets is the one at `v`. */
  readonly map: Omit<FlatMap, "values" | "colors" | "range" | "colormap" | "label">;
  /** Ways to colour it, at least one. */
  readonly colorings: readonly GalleryColoring[];
}

/** How a gallery is made. */
export interface GalleryOptions {
  /** Gives image `i`; asked for once each, in order. */
  readonly read: (i: number) => RgbImage;
  /** Longer side of an image at most; larger ones are resized. */
  readonly size?: number;
  /** JPEG quality, 1 to 100. */
  readonly quality?: number;
  /** Characters that the images may take together in the page; text of more than 2^29 cannot be made. */
  readonly mostCharacters?: number;
  /** Called after every image. */
  readonly onImage?: (done: number, total: number) => void | Promise<void>;
}

/** A gallery's page. */
export interface GalleryPage {
  /** One HTML file without any other. */
  readonly page: string;
  /** Images in it. */
  readonly nImages: number;
  /** Bytes of their files before they are written as text, which adds a third. */
  readonly imageBytes: number;
}

/** Side of a thumbnail, and how many stand in a row and in a sheet. */
const THUMB = 40, ROW = 32, PER_SHEET = ROW * ROW;
/** Text of one block of images: few enough elements, and none that is costly to cut from. */
const PACK_CHARACTERS = 4e6;
const MOST_CHARACTERS = 4e8;

/** JSON inside of a script element, where no end tag may stand. */
function jsonBlock(id: string, value: unknown): Html {
  const text = JSON.stringify(value).replaceAll("<", "\\u003c");
  return trusted(`<script type="application/json" id="${id}">${text}</script>`);
}

/** Thumbnails of targets, side by side in a few large pictures. */
class ThumbSheets {
  readonly #sheets: RgbImage[] = [];
  #count = 0;

  add(image: RgbImage): void {
    const at = this.#count % PER_SHEET;
    if (at === 0) {
      const data = new Uint8Array(3 * (THUMB * ROW) ** 2);
      this.#sheets.push({ width: THUMB * ROW, height: THUMB * ROW, data });
    }
    this.#count++;
    const small = pilResize(image, { height: THUMB, width: THUMB, filter: "box" });
    const { data, width } = this.#sheets[this.#sheets.length - 1];
    const top = Math.floor(at / ROW) * THUMB, left = at % ROW * THUMB;
    for (let y = 0; y < THUMB; y++) {
      const row = small.data.subarray(3 * y * THUMB, 3 * (y + 1) * THUMB);
      data.set(row, 3 * ((top + y) * width + left));
    }
  }

  /** Rules that show each sheet as a background. */
  style(quality: number): { rules: Html; bytes: number } {
    let bytes = 0;
    const rules = this.#sheets.map((sheet, s) => {
      const rest = this.#count - s * PER_SHEET;
      const height = THUMB * Math.min(ROW, Math.ceil(rest / ROW));
      const data = sheet.data.subarray(0, 3 * sheet.width * height);
      const file = writeJpeg({ width: sheet.width, height, data }, { quality });
      bytes += file.length;
      return `.t${s} { background-image: url("${dataUri("image/jpeg", file)}"); }`;
    });
    return { rules: trusted(rules.join("\n")), bytes };
  }
}

/** Image files as text in blocks. */
class ImagePacks {
  readonly #done: Html[] = [];
  #parts: string[] = [];
  #length = 0;
  #total = 0;

  constructor(readonly most: number) {}

  /** Adds a file; returns its block, and where in the block's text it begins and how long it is. */
  add(file: Uint8Array): readonly [pack: number, start: number, length: number] {
    const text = file.toBase64(), place = [this.#done.length, this.#length, text.length] as const;
    this.#parts.push(text);
    this.#length += text.length;
    this.#total += text.length;
    if (this.#total > this.most) {
      throw new InputError(
        `Cannot make one page of so many images: they take more than ${this.most} characters; choose a smaller size or quality, or fewer images`,
      );
    }
    if (this.#length >= PACK_CHARACTERS) this.#close();
    return place;
  }

  #close(): void {
    if (this.#parts.length === 0) return;
    const id = `pack-${this.#done.length}`;
    this.#done.push(
      trusted(`<script type="text/plain" id="${id}">${this.#parts.join("")}</script>\n`),
    );
    this.#parts = [];
    this.#length = 0;
  }

  elements(): readonly Html[] {
    this.#close();
    return this.#done;
  }
}

function requireGallery({ targets, map, colorings }: VoxelGallery): void {
  const n = map.flat.length / 2;
  const bad = targets.find(({ voxel, images }) =>
    images.length === 0 || voxel !== undefined && !(voxel >= 0 && voxel < n)
  );
  if (targets.length > 0 && colorings.length > 0 && !bad) return;
  throw new InputError(
    bad
      ? bad.images.length === 0
        ? `Cannot show ${bad.name}: it has no image`
        : `Cannot show ${bad.name}: the map has ${n} voxels, counted from 0`
      : "Cannot make a gallery: there must be an image and a colouring",
  );
}

/** Colours of every voxel as bytes, and what they mean, as JSON. */
function coloringData(coloring: GalleryColoring, map: VoxelGallery["map"]) {
  const { name } = coloring;
  if ("colors" in coloring) {
    return { name, colors: coloring.colors.toBase64(), legend: coloring.legend };
  }
  const { values, colormap } = coloring;
  const finite = Array.from(values).filter(Number.isFinite);
  const [low, high] = coloring.range ??
    [
      finite.reduce((a, b) => Math.min(a, b), Infinity),
      finite.reduce((a, b) => Math.max(a, b), -Infinity),
    ];
  const n = map.flat.length / 2, colors = new Uint8Array(3 * n);
  for (let v = 0; v < n; v++) {
    const t = high > low ? (values[v] - low) / (high - low) : 0.5;
    const [r, g, b] = Number.isFinite(values[v])
      ? cssColor(t, colormap).match(/\d+/g)?.map(Number) ?? []
      : [128, 128, 128];
    colors.set([r, g, b], 3 * v);
  }
  return {
    ...{ name, colors: colors.toBase64() },
    values: Array.from(values, (v) => Number.isFinite(v) ? Number(v.toPrecision(4)) : null),
    ...{ low: formatNumber(low), high: formatNumber(high) },
    stops: Array.from({ length: 9 }, (_, i) => cssColor(i / 8, colormap)),
  };
}

function bodyOf(
  { title, facts = [], targets, map, colorings }: VoxelGallery,
  nImages: number,
): Html {
  const options = colorings.map(({ name }, i) => html`<option value="${i}">${name}</option>`);
  const voxels = targets.filter(({ voxel }) => voxel !== undefined).length;
  const names = [
    ...new Set([
      ...targets.flatMap(({ name, voxel }) => voxel === undefined ? [name] : []),
      ...map.names,
    ]),
  ];
  const n = map.flat.length / 2;
  const drawn = flatMap({ ...map, colors: new Uint8Array(3 * n).fill(128), label: "flat map" });
  const regions = targets.flatMap(({ name, voxel }, t) =>
    voxel === undefined
      ? [html`<li><button type="button" data-target="${t}">${name}</button></li>`]
      : []
  );
  return html`
    <h1>${title}</h1>
    <p class="soft">${[`${voxels} voxels`, `${nImages} images`, ...facts].join(" · ")}</p>
    <noscript><p>The images of this page are shown by its script, which the browser does not run.</p></noscript>
    <form class="bar-of-tools" id="find" autocomplete="off">
      <label>voxel or region <input id="query" list="names" size="12" spellcheck="false"></label>
      <button type="submit">show</button>
      <label>colours <select id="coloring">${options}</select></label>
      <span id="legend" class="legend-of-map"></span>
    </form>
    <datalist id="names">${names.map((name) => html`<option value="${name}"></option>`)}</datalist>
    <div class="gallery">
      <div>
        <div id="map" class="plate" tabindex="0" role="application"
          aria-label="flat map of ${n} voxels: arrow keys go from voxel to voxel">${drawn}</div>
        ${regions.length > 0
          ? html`<ul class="regions" aria-label="regions with images">${regions}</ul>`
          : undefined}
        <p class="note">Faint voxels have no image. Click a voxel, or go with the arrow keys while the map has the focus. The address
          of the page names what is shown, as in #voxel=${targets.find(({ voxel }) =>
            voxel !== undefined
          )?.voxel ?? 0}.</p>
      </div>
      <section id="shown" aria-live="polite"></section>
    </div>
    <div id="hover" hidden></div>
  `;
}

/**
 * A page with a map of the voxels and the images made for each, shown when a voxel is clicked, searched or named in the page's address
 * (`#voxel=12`, `#region=FFA`). Images are JPEG files inside of the page.
 *
 * @throws {InputError} when there is no image or colouring, or a target has none or lies outside of the map
 */
export async function voxelGallery(
  gallery: VoxelGallery,
  { read, size = 224, quality = 80, mostCharacters = MOST_CHARACTERS, onImage }: GalleryOptions,
): Promise<GalleryPage> {
  requireGallery(gallery);
  if (!(Number.isSafeInteger(size) && size >= 1)) {
    throw new InputError(`Cannot make a gallery: images need a size from 1, got ${size}`);
  }
  const { title, targets, map, colorings } = gallery;
  const sheets = new ThumbSheets(), packs = new ImagePacks(mostCharacters);
  const total = targets.reduce((sum, { images }) => sum + images.length, 0);
  let done = 0, imageBytes = 0;
  const shown = [];
  for (const { name, voxel, images } of targets) {
    const files = [];
    for (const [i, { image, label, response }] of images.entries()) {
      const full = read(image), longer = Math.max(full.height, full.width);
      const scale = Math.min(1, size / longer);
      const [height, width] = [full.height, full.width].map((side) =>
        Math.max(1, Math.round(scale * side))
      );
      const fitted = scale < 1 ? pilResize(full, { height, width, filter: "lanczos" }) : full;
      if (i === 0) sheets.add(full);
      const file = writeJpeg(fitted, { quality });
      imageBytes += file.length;
      files.push([...packs.add(file), label, formatNumber(response), width, height]);
      await onImage?.(++done, total);
    }
    shown.push({ name, voxel, files });
  }
  const { rules, bytes } = sheets.style(quality);
  const region = Array.from({ length: map.flat.length / 2 }, (_, v) => map.region[v]);
  const data = {
    ...{ targets: shown, names: map.names, region, row: ROW, thumb: THUMB },
    colorings: colorings.map((coloring) => coloringData(coloring, map)),
  };
  const body = html`${bodyOf(gallery, total)}${jsonBlock("gallery-data", data)}
${packs.elements()}${trusted(`<script>\n${SCRIPT}</script>`)}`;
  const style = trusted(`${GALLERY_STYLE}\n${rules}`);
  return { page: htmlPage(title, body, style), nImages: total, imageBytes: imageBytes + bytes };
}
