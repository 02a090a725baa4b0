/**
 * A study's folder: what is kept of every backbone and subject.
 *
 * ```text
 * results.json                        every table
 * images/NAME.png                     the images worth showing, and the best ones of regions small
 * BACKBONE/colors.h5                  /rgb u8 [nShown, gridH, gridW, 3]
 * BACKBONE/SUBJECT/encoder.h5         the encoder
 * BACKBONE/SUBJECT/maps.h5            /distilled /plain [nMapped, nRois, gridH, gridW], /roi_names /image_names
 * BACKBONE/SUBJECT/voxels.h5          /r2 /q_predicted /noise_ceiling /best_alphas /correlates/{r,pooled,p,q,sign} /rgb, where voxels lie
 * ```
 *
 * @module
 */
import type { RoiMaps } from "../dense/compare_backbones.ts";
import { saveEncoder } from "../encoding/encoder_file.ts";
import { withFileErrors } from "../io/files.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { type HostArray, toFloat32 } from "../io/state_dict.ts";
import type { Grid } from "../models/pos_embed.ts";
import { imageProperties, type MapSink } from "./map_pass.ts";
import type { BackboneResult, OwnerResult } from "./run_backbone.ts";
import type { Study } from "./study.ts";

/** Where a subject's files of a backbone are. */
export function subjectFolder(folder: string, backbone: string, subject: string): string {
  return `${folder}/${backbone}/${subject}`;
}

function makeFolder(path: string): void {
  withFileErrors("write", path, () => Deno.mkdirSync(path, { recursive: true }));
}

/** Writes the maps of a backbone as they are made. */
export class MapFiles implements Disposable {
  readonly #files = new Map<string, Hdf5Writer>();
  readonly #area: number;

  private constructor(area: number) {
    this.#area = area;
  }

  /** Begins the files of every subject of a study. */
  static async create(
    folder: string,
    backbone: string,
    { study, grid }: { readonly study: Study; readonly grid: Grid },
  ): Promise<MapFiles> {
    const maps = new MapFiles(grid[0] * grid[1]);
    const names = Array.from(study.mappedRows, (row) => study.images.names[row]);
    for (const { name, rois } of study.subjects) {
      const path = subjectFolder(folder, backbone, name);
      makeFolder(path);
      const file = await Hdf5Writer.create(`${path}/maps.h5`, { inPlace: true });
      maps.#files.set(name, file);
      const shape = [names.length, rois.length, ...grid];
      for (const method of ["distilled", "plain"]) {
        file.createDataset(method, { shape, dtype: "f32" });
      }
      file.writeStrings("roi_names", rois.map((roi) => roi.name));
      file.writeStrings("image_names", names);
    }
    return maps;
  }

  /** Takes the maps of an image. */
  readonly sink: MapSink = ({ subject, isControl }, { image, distilled, plain }) => {
    if (isControl) return;
    const file = this.#files.get(subject.name)!;
    const own = subject.rois.length * this.#area;
    file.writeRows("distilled", image, distilled.subarray(0, own));
    file.writeRows("plain", image, plain.subarray(0, own));
  };

  /** Completes the files. */
  commit(): void {
    for (const file of this.#files.values()) file.commit();
  }

  /** Discards what is not complete. */
  [Symbol.dispose](): void {
    for (const file of this.#files.values()) file[Symbol.dispose]();
  }
}

/** The distilled maps of a subject by a backbone. */
export async function readMaps(
  folder: string,
  backbone: string,
  subject: string,
): Promise<RoiMaps> {
  using file = await Hdf5File.open(`${subjectFolder(folder, backbone, subject)}/maps.h5`);
  const { shape: [n, nRois, height, width] } = file.info("distilled");
  const data = toFloat32(file.readRows("distilled", 0, n));
  return { data, nRois, grid: [height, width] };
}

async function writeVoxels(
  path: string,
  { subject, fit, correlates }: OwnerResult,
  rgb: Uint8Array<ArrayBuffer> | undefined,
): Promise<void> {
  using file = await Hdf5Writer.create(path, { inPlace: true });
  const add = (
    name: string,
    dtype: "f32" | "f64" | "u8" | "i8" | "u32",
    data: HostArray,
    shape: readonly number[] = [data.length],
  ) => {
    file.createDataset(name, { dtype, shape });
    file.writeRows(name, 0, data);
  };
  const n = fit.r2.length, k = imageProperties.length;
  add("r2", "f64", fit.r2);
  if (fit.qPredicted) add("q_predicted", "f64", fit.qPredicted);
  if (subject.noiseCeiling) add("noise_ceiling", "f32", subject.noiseCeiling);
  const { bestAlphas } = fit.encoder.details;
  if (bestAlphas) add("best_alphas", "f64", bestAlphas);
  add("correlates/r", "f64", correlates.r, [k, n]);
  add("correlates/pooled", "f64", correlates.pooled, [k, n]);
  if (correlates.test) {
    add("correlates/p", "f64", correlates.test.pValues, [k, n]);
    add("correlates/q", "f64", correlates.test.qValues, [k, n]);
    add("correlates/sign", "i8", correlates.test.signs, [k, n]);
  }
  file.writeStrings("correlates/properties", imageProperties);
  if (rgb) add("rgb", "u8", rgb, [n, 3]);
  const roi = new Uint32Array(n).fill(subject.rois.length); // what follows the last is none
  subject.rois.forEach(({ voxels }, r) => Array.from(voxels).forEach((v) => roi[v] = r));
  add("roi", "u32", roi);
  file.writeStrings("roi_names", subject.rois.map(({ name }) => name));
  const { flat, hemisphere, volume } = subject.places;
  if (flat) add("flat", "f32", flat, [n, 2]);
  if (hemisphere) add("hemisphere", "u8", hemisphere);
  if (volume) {
    add("volume_index", "u32", Uint32Array.from(volume.volumeIndex));
    file.setAttribute("volume_index", "shape", [...volume.volumeShape]);
  }
  file.commit();
}

/** Writes everything of a backbone but the maps, which are there already. */
export async function writeBackbone(folder: string, result: BackboneResult): Promise<void> {
  const { name, owners, shown, colors, grid } = result;
  const own = owners.filter(({ isControl }) => !isControl);
  for (const [o, owner] of own.entries()) {
    const path = subjectFolder(folder, name, owner.subject.name);
    makeFolder(path);
    await saveEncoder(`${path}/encoder.h5`, owner.fit.encoder);
    await writeVoxels(`${path}/voxels.h5`, owner, colors?.voxels[o]);
  }
  if (!colors) return;
  using file = await Hdf5Writer.create(`${folder}/${name}/colors.h5`, { inPlace: true });
  const coloured = shown.filter((image) => colors.images.has(image));
  file.createDataset("rgb", { dtype: "u8", shape: [coloured.length, ...grid, 3] });
  coloured.forEach((image, i) => file.writeRows("rgb", i, colors.images.get(image)!));
  file.commit();
}
