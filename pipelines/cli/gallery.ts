/**
 * `gyrus gallery`: one page with the images that were made for thousands of voxels, on a map of them.
 *
 * @module
 */
import type { Command } from "commander";
import type { RoiVoxels } from "../dense/relevance.ts";
import { InputError } from "../errors.ts";
import { openArray } from "../io/array_ref.ts";
import { quote } from "../io/strict_json.ts";
import { flatSpacing } from "../report/flat_map.ts";
import { slicePlaces } from "../report/slice_places.ts";
import { type GalleryColoring, type VoxelGallery, voxelGallery } from "../report/voxel_gallery.ts";
import { runRecord } from "../run_record.ts";
import { readVoxelResponses } from "../vwam/experiment_file.ts";
import { type MadeImages, openMadeImages } from "../vwam/made_images.ts";
import {
  firstResponses,
  gallerySource,
  regionOfVoxels,
  rgbOfTargets,
} from "../vwam/voxel_gallery.ts";
import { readRegions } from "./maximize_options.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { beginOutput, letSignalsIn, writeOutput } from "./output.ts";
import { Progress } from "./progress.ts";
import { readSamples } from "./read_matrix.ts";

interface GalleryCliOptions extends GlobalOptions {
  readonly images: readonly string[];
  readonly flat?: string;
  readonly coords?: string;
  readonly hemisphere?: string;
  readonly rois?: string;
  readonly value: readonly string[];
  readonly experiment?: string;
  readonly subject?: string;
  readonly rgb?: string;
  readonly title: string;
  readonly size: number;
  readonly quality: number;
}

const HELP = `
Writes one HTML file that needs no other and no network: a map of the voxels; a click on one, its number or region in the search field,
the arrow keys, or its address (page.html#voxel=12, page.html#region=FFA) show its images, seeds side by side. Voxels lie on a flat map
(--flat, [voxels, 2]), in slices of a volume (--coords, [voxels, 3]), or else in rows. No GPU is needed.
--value NAME=REF colours the map by a number of each voxel; --rgb A,B,C by how much the images of three regions drive it, as written by
gyrus experiment.

Example:
  gyrus gallery --images made/ --flat data/responses_subj01.h5:flat --rois data/rois_subj01.csv --out gallery.html
  gyrus gallery --images made/ --flat data/responses_subj01.h5:flat --value r2=scores.h5:/r2 \\
    --experiment found/experiment.h5 --rgb EBA,FFA,RSC --size 224 --out gallery.html
`;

/** Adds the command. */
export function register(program: Command): void {
  program.command("gallery")
    .description("one page with the images made for voxels, on a map of them")
    .requiredOption("--images <folders...>", "folders that maximize wrote")
    .option("--flat <ref>", "flat-map coordinates of the voxels [voxels, 2]")
    .option("--coords <ref>", "coordinates of the voxels in a volume [voxels, 3]")
    .option("--hemisphere <ref>", "0 left, 1 right [voxels]: regions are named on both")
    .option("--rois <file>", "table with the columns voxel and roi, or JSON, as for maximize")
    .option("--value <name=ref...>", "numbers of the voxels [voxels] to colour the map by", [])
    .option("--experiment <file>", "experiment.h5 of gyrus experiment, for --rgb")
    .option("--subject <name>", "subject of the experiment (default: the first)")
    .option("--rgb <names>", "three regions for red, green and blue, A,B,C")
    .option("--title <text>", "heading of the page", "What voxels like")
    .option("--size <n>", "longer side of an image at most", wholeNumber, 224)
    .option("--quality <n>", "JPEG quality, 1 to 100", wholeNumber, 80)
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await gallery(command.optsWithGlobals()));
}

/** Places of voxels in rows, where nothing says where they lie. */
function rowPlaces(nVoxels: number): Float32Array<ArrayBuffer> {
  const columns = Math.ceil(Math.sqrt(2 * nVoxels));
  return Float32Array.from(
    { length: 2 * nVoxels },
    (_, at) =>
      (at % 2 === 0 ? (at >> 1) % columns : -Math.floor((at >> 1) / columns)) * 2 / columns,
  );
}

async function readPlaces({ flat, coords }: GalleryCliOptions, nVoxels: number) {
  if (flat !== undefined && coords !== undefined) {
    throw new InputError("Cannot place voxels by --flat and by --coords: give one of them");
  }
  const reference = flat ?? coords;
  if (reference === undefined) {
    const places = rowPlaces(nVoxels);
    return { flat: places, spacing: flatSpacing(places) };
  }
  const wanted = flat === undefined ? 3 : 2;
  const { data, shape } = await readSamples(reference, "coordinates");
  if (shape[1] !== wanted) {
    throw new InputError(
      `Cannot place voxels by ${
        quote(reference)
      }: [voxels, ${wanted}] is needed, its shape is [${shape}]`,
    );
  }
  return flat === undefined ? slicePlaces(data) : { flat: data, spacing: flatSpacing(data) };
}

/** Numbers of voxels, which may be NaN where there is none. */
async function readValues(reference: string, nVoxels: number): Promise<Float64Array> {
  using rows = await openArray(reference);
  const values = rows.readRows(0, rows.shape[0]);
  if (values.length === nVoxels) return Float64Array.from(values);
  throw new InputError(
    `Cannot colour the map by ${
      quote(reference)
    }: ${nVoxels} values are needed, one for each voxel, its shape is [${rows.shape}]`,
  );
}

async function readColorings(
  { value, experiment, subject, rgb }: GalleryCliOptions,
  { responses, nVoxels }: { readonly responses: ArrayLike<number>; readonly nVoxels: number },
): Promise<GalleryColoring[]> {
  const own: GalleryColoring[] = [];
  if (rgb !== undefined) {
    if (experiment === undefined) throw new InputError("Cannot use --rgb without --experiment");
    const names = rgb.split(",").map((name) => name.trim());
    const found = await readVoxelResponses(experiment, names, subject);
    own.push(rgbOfTargets(names, found));
  }
  for (const text of value) {
    const at = text.indexOf("=");
    if (at < 1) throw new InputError(`Cannot use --value ${quote(text)}: it must be NAME=REF`);
    const values = await readValues(text.slice(at + 1), nVoxels);
    own.push({ name: text.slice(0, at), values });
  }
  const wrong = own.find((c) => "colors" in c && c.colors.length !== 3 * nVoxels);
  if (wrong) {
    throw new InputError(
      `Cannot colour the map by ${
        quote(experiment)
      }: it has other voxels than the ${nVoxels} of the map`,
    );
  }
  if (Array.from(responses).some(Number.isFinite)) {
    own.push({ name: "predicted response", values: responses });
  }
  return own.length > 0 ? own : [{ name: "voxels", values: new Float64Array(nVoxels).fill(NaN) }];
}

/** What is known of the voxels of a map, and how it is coloured. */
async function describe(
  options: GalleryCliOptions,
  folders: readonly MadeImages[],
): Promise<{ gallery: VoxelGallery; read: ReturnType<typeof gallerySource>["read"] }> {
  const { targets, read } = gallerySource(folders);
  const regions: RoiVoxels[] = options.rois === undefined ? [] : readRegions(options.rois);
  const last = (voxels: ArrayLike<number>) =>
    Array.from(voxels).reduce((most, v) => Math.max(most, v + 1), 0);
  const most = last([
    ...targets.map(({ voxel }) => voxel ?? -1),
    ...regions.map(({ voxels }) => last(voxels) - 1),
  ]);
  const { flat, spacing } = await readPlaces(options, Math.max(1, most));
  const nVoxels = flat.length / 2;
  const hemisphere = options.hemisphere === undefined
    ? new Uint8Array(nVoxels)
    : await readValues(options.hemisphere, nVoxels);
  const map = {
    ...{ flat, spacing, hemisphere, names: regions.map(({ name }) => name) },
    region: regionOfVoxels(regions, nVoxels),
  };
  const responses = firstResponses(targets, nVoxels);
  const colorings = await readColorings(options, { responses, nVoxels });
  const facts = folders.map(({ folder, size: [height, width] }) =>
    `${folder}: ${height} × ${width} pixels`
  );
  return { gallery: { title: options.title, facts, targets, map, colorings }, read };
}

async function gallery(options: GalleryCliOptions): Promise<void> {
  const started = new Date();
  const output = beginOutput(options.out);
  const progress = new Progress({ silent: options.json });
  const folders: MadeImages[] = [];
  try {
    for (const folder of options.images) folders.push(await openMadeImages(folder));
    const { gallery, read } = await describe(options, folders);
    const { page, nImages, imageBytes } = await voxelGallery(gallery, {
      ...{ read, size: options.size, quality: options.quality },
      onImage: async (done, total) => {
        progress.update({ stage: "images", done, total });
        if (done % 16 === 0) await letSignalsIn();
      },
    });
    progress.end();
    const bytes = new TextEncoder().encode(page);
    Deno.writeFileSync(output.partial, bytes);
    output.commit();
    const results = {
      targets: gallery.targets.length,
      images: nImages,
      imageBytes,
      bytes: bytes.length,
    };
    const inputs = Object.fromEntries(
      options.images.map((folder, i) => [`images${i || ""}`, folder]),
    );
    const record = runRecord({
      command: "gallery",
      options: { ...options },
      inputs,
      started,
      results,
    });
    writeOutput(`${options.out}.run.json`, `${JSON.stringify(record, null, 2)}\n`);
    if (options.json) console.log(JSON.stringify({ out: options.out, ...results }));
    else {
      const size = (bytes.length / 1e6).toFixed(1);
      console.log(
        `${results.targets} voxels and regions, ${nImages} images, ${size} MB: look at ${options.out}`,
      );
    }
  } finally {
    for (const folder of folders) folder.close();
  }
}
