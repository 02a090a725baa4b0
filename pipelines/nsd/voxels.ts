/** The voxels of a subject: masks, named regions, signal-to-noise ratio. */

import { InputError } from "../errors.ts";
import { withFileErrors } from "../io/files.ts";
import { toFloat32 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { ATLASES, BETAS, FLOC_CONTRASTS, nsdPaths, regionOf } from "./names.ts";
import { isThere, readText, readVolume } from "./read_file.ts";

/** Which voxels to take. */
export interface NsdVoxelOptions {
  /** `nsdgeneral`, `brainmask`, another label volume of the subject by name, or the path of a .nii or .nii.gz file: voxels above 0. */
  readonly mask?: string;
  /** Only voxels of these regions (`FFA`) or labels (`FFA-1`); all of the mask when left out. */
  readonly regions?: readonly string[];
  /** Only voxels with at least this ncsnr. */
  readonly minNcsnr?: number;
  /** Regions of floc volumes keep only voxels whose t value of the localizer's own contrast is above this; the paper takes 2. */
  readonly minT?: number;
  /** Label volumes to name regions by, a hemisphere's own as `lh.floc-faces`. */
  readonly atlases?: readonly string[];
  /** Kind of betas, whose ncsnr is read. */
  readonly betas?: string;
}

/** Chosen voxels of a subject. */
export interface NsdVoxels {
  /** C-order index of each voxel in the volume, ascending, [nVoxels]. */
  readonly volumeIndex: Uint32Array<ArrayBuffer>;
  /** Shape of the volume in C order, [Z, Y, X]. */
  readonly volumeShape: readonly number[];
  /** ncsnr of each voxel as the data set states it, [nVoxels]. */
  readonly ncsnr: Float32Array<ArrayBuffer>;
  /** Region name to its voxels, as positions in the list of voxels; empty regions are left out. */
  readonly rois: ReadonlyMap<string, Uint32Array<ArrayBuffer>>;
}

/**
 * The names of a volume's labels, from text of one `value name` per line (`.mgz.ctab`); colours after the name are passed over.
 *
 * @param source the file, for messages
 * @throws {InputError} when a line is something else, or a value stands twice
 */
export function parseLabelTable(text: string, source: string): Map<number, string> {
  const names = new Map<number, string>();
  text.split(/\r?\n/).forEach((line, i) => {
    if (line.trim() === "" || line.startsWith("#")) return;
    const [, value, name] = /^\s*(\d+)\s+(\S.*?)(?:(?:\s+\d+){3,4})?\s*$/.exec(line) ?? [];
    if (name === undefined || names.has(Number(value))) {
      throw new InputError(
        `Cannot read the labels ${quote(source)}: line ${i + 1} must be a new number and a name, ` +
          `is ${quote(line)}`,
      );
    }
    names.set(Number(value), name);
  });
  return names;
}

/** The names of a volume's labels: the subject's own table, or those of the data manual. */
async function labelNames(
  root: string,
  subject: number,
  atlas: string,
): Promise<(label: number) => string> {
  const [, side = "", name] = /^([lr]h\.)?(.*)$/s.exec(atlas)!;
  const path = `${root}/${nsdPaths.labels(subject)}/${name}.mgz.ctab`;
  const table = isThere(path)
    ? parseLabelTable(await readText(path), path)
    : new Map(Object.entries(ATLASES[name] ?? {}).map(([label, text]) => [Number(label), text]));
  return (label) => `${side}${table.get(label) ?? `${name} ${label}`}`;
}

/** The cells that may count for a floc volume's regions, by the t value of its own contrast. */
async function aboveT(
  root: string,
  subject: number,
  atlas: string,
  { shape, minT }: { shape: readonly number[]; minT: number | undefined },
): Promise<(cell: number) => boolean> {
  const contrast = FLOC_CONTRASTS[atlas.replace(/^[lr]h\./, "")];
  if (minT === undefined || contrast === undefined) return () => true;
  const path = `${root}/${nsdPaths.volumes(subject)}/floc_${contrast}tval.nii.gz`;
  const t = toFloat32(await readVolume(path, shape));
  return (cell) => t[cell] > minT;
}

/** Every label and region of the volumes to the cells that have it. */
async function readRegions(
  root: string,
  subject: number,
  cells: Uint32Array,
  { shape, minT, atlases }: {
    shape: readonly number[];
    minT: number | undefined;
    atlases: readonly string[] | undefined;
  },
): Promise<{ labels: Map<string, Set<number>>; regions: Map<string, Set<number>> }> {
  const labels = new Map<string, Set<number>>();
  const regions = new Map<string, Set<number>>();
  const add = (map: Map<string, Set<number>>, name: string, cell: number): void => {
    const own = map.get(name);
    if (own) own.add(cell);
    else map.set(name, new Set([cell]));
  };
  for (const atlas of atlases ?? Object.keys(ATLASES)) {
    const path = `${root}/${nsdPaths.roi(subject)}/${atlas}.nii.gz`;
    if (!atlases && !isThere(path)) continue; // Not every subject has every atlas.
    const volume = toFloat32(await readVolume(path, shape));
    const nameOf = await labelNames(root, subject, atlas);
    const counts = await aboveT(root, subject, atlas, { shape, minT });
    for (const cell of cells) {
      const label = Math.round(volume[cell]); // 0 is no region, −1 outside of cortex.
      if (!(label > 0) || !counts(cell)) continue;
      const name = nameOf(label);
      add(labels, name, cell);
      add(regions, regionOf(name), cell);
    }
  }
  return { labels, regions };
}

/** The path of a mask by what the user called it. */
function maskPath(root: string, subject: number, mask: string): string {
  if (/\.nii(\.gz)?$/i.test(mask)) return mask;
  const folder = mask === "brainmask" ? nsdPaths.volumes(subject) : nsdPaths.roi(subject);
  return `${root}/${folder}/${mask}.nii.gz`;
}

/** The cells of the regions and labels that were asked for. */
function cellsOf(
  wanted: readonly string[],
  { labels, regions }: {
    labels: ReadonlyMap<string, ReadonlySet<number>>;
    regions: ReadonlyMap<string, ReadonlySet<number>>;
  },
): Set<number> {
  const cells = new Set<number>();
  for (const name of wanted) {
    const own = regions.get(name) ?? labels.get(name);
    if (!own) {
      throw new InputError(
        `Cannot choose the voxels of ${
          quote(name)
        }: no voxel of the mask has that label; there are ${
          [...regions.keys()].join(", ") || "none"
        }`,
      );
    }
    for (const cell of own) cells.add(cell);
  }
  return cells;
}

/**
 * Chooses voxels of a subject in the 1.8 mm volume.
 *
 * @param root the folder that holds `nsddata` and `nsddata_betas`
 * @param subject counted from 1
 * @throws {InputError} when a file is missing or damaged, volumes differ in shape, a region does not exist, or no voxel is left
 */
export async function selectNsdVoxels(
  root: string,
  subject: number,
  { mask = "nsdgeneral", regions, minNcsnr, minT, atlases, betas = BETAS }: NsdVoxelOptions = {},
): Promise<NsdVoxels> {
  const path = maskPath(root, subject, mask);
  const volume = await readVolume(path);
  const { shape } = volume;
  const inside = toFloat32(volume);
  const snr = toFloat32(
    await readVolume(`${root}/${nsdPaths.betas(subject, betas)}/ncsnr.nii.gz`, shape),
  );
  const masked = Uint32Array.from(inside.keys().filter((cell) => inside[cell] > 0));
  const named = await readRegions(root, subject, masked, { shape, minT, atlases });
  const wanted = regions && cellsOf(regions, named);
  const volumeIndex = masked.filter((cell) =>
    (wanted === undefined || wanted.has(cell)) &&
    (minNcsnr === undefined || snr[cell] >= minNcsnr)
  );
  if (volumeIndex.length === 0) {
    throw new InputError(
      `Cannot use ${
        quote(path)
      }: no voxel is left of ${masked.length} in the mask, after regions and ncsnr`,
    );
  }
  const position = new Map(Array.from(volumeIndex, (cell, v) => [cell, v]));
  const rois = new Map<string, Uint32Array<ArrayBuffer>>();
  for (const [name, cells] of named.regions) {
    const own = [...cells].map((cell) => position.get(cell)).filter((v) => v !== undefined);
    if (own.length > 0) rois.set(name, Uint32Array.from(own).sort());
  }
  // Voxels without signal may be NaN: they have no ratio.
  const ncsnr = Float32Array.from(volumeIndex, (cell) => Number.isNaN(snr[cell]) ? 0 : snr[cell]);
  return { volumeIndex, volumeShape: shape, ncsnr, rois };
}

/**
 * The files of a subject's sessions by session number, HDF5 before NIfTI.
 *
 * @throws {InputError} when the folder has none
 */
export function sessionFiles(root: string, subject: number, betas: string): Map<number, string> {
  const folder = `${root}/${nsdPaths.betas(subject, betas)}`;
  const names = withFileErrors("read", folder, () => [...Deno.readDirSync(folder)])
    .map(({ name }) => name).sort(); // "hdf5" comes before "nii", and that before "nii.gz".
  const files = new Map<number, string>();
  for (const name of names) {
    const session = Number(/^betas_session(\d+)\.(?:hdf5|nii|nii\.gz)$/.exec(name)?.[1] ?? 0);
    if (session > 0 && !files.has(session)) files.set(session, `${folder}/${name}`);
  }
  if (files.size === 0) {
    throw new InputError(`Cannot read betas: ${quote(folder)} has no betas_session01.hdf5`);
  }
  return files;
}
