/**
 * The file of an experiment.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { toFloat64 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import type { ConditionFindings, Experiment, SubjectExperiment } from "./experiment.ts";
import type { RegionFindings, VoxelFindings } from "./experiment_findings.ts";

const FORMAT = "gyrus experiment 1";

function write(
  file: Hdf5Writer,
  name: string,
  values: ArrayLike<number>,
  shape: readonly number[] = [values.length],
): void {
  file.createDataset(name, { shape, dtype: "f64" });
  file.writeRows(name, 0, Float64Array.from(values));
}

/** One value of each region; NaN where there is none. */
function byRegion(n: number, value: (region: number) => number | undefined): number[] {
  return Array.from({ length: n }, (_, r) => value(r) ?? NaN);
}

function writeFindings(file: Hdf5Writer, at: string, found: RegionFindings): void {
  const { matrix: { means, nImages, nRois: n }, tests, selectivity, intervals, dominance } = found;
  const square = [n, n];
  write(file, `${at}/means`, means, square);
  write(file, `${at}/n_units`, nImages);
  write(file, `${at}/cells_low`, found.cells.low, square);
  write(file, `${at}/cells_high`, found.cells.high, square);
  if (found.z) write(file, `${at}/z`, found.z, square);
  if (found.percentiles) write(file, `${at}/percentiles`, found.percentiles, square);
  for (const name of ["on", "off", "difference", "index", "rank", "runnerUp"] as const) {
    const column = name === "runnerUp" ? "runner_up" : name;
    write(file, `${at}/${column}`, byRegion(n, (r) => selectivity[r]?.[name]));
  }
  for (const name of ["difference", "index"] as const) {
    write(file, `${at}/${name}_low`, intervals[name].low);
    write(file, `${at}/${name}_high`, intervals[name].high);
  }
  const test = (r: number) => tests.find(({ roi }) => roi === r);
  for (const name of ["p", "holm", "q"] as const) {
    write(file, `${at}/exchanged_${name}`, byRegion(n, (r) => test(r)?.exchanged[name]));
    write(file, `${at}/student_${name}`, byRegion(n, (r) => test(r)?.studentP?.[name]));
  }
  for (const name of ["t", "df", "effect", "low", "high"] as const) {
    write(file, `${at}/student_${name}`, byRegion(n, (r) => test(r)?.student?.[name]));
  }
  write(file, `${at}/own_less_next`, byRegion(n, (r) => test(r)?.difference));
  for (const [name, value] of Object.entries(dominance)) file.setAttribute(at, name, value);
}

function writeVoxels(file: Hdf5Writer, at: string, found: VoxelFindings, n: number): void {
  const { cells, difference, tests } = found;
  write(file, `${at}/voxels_low`, cells.low, [n, n]);
  write(file, `${at}/voxels_high`, cells.high, [n, n]);
  write(file, `${at}/voxels_difference_low`, difference.low);
  write(file, `${at}/voxels_difference_high`, difference.high);
  write(file, `${at}/voxels_t`, byRegion(n, (r) => tests[r]?.t));
  write(file, `${at}/voxels_effect`, byRegion(n, (r) => tests[r]?.effect));
  for (const name of ["p", "holm", "q"] as const) {
    write(file, `${at}/voxels_${name}`, byRegion(n, (r) => tests[r]?.corrected[name]));
  }
}

function writeCondition(file: Hdf5Writer, at: string, found: ConditionFindings): void {
  const { matrix: { means, nRois: n }, z, own, losses, dominance } = found;
  write(file, `${at}/means`, means, [n, n]);
  if (z) write(file, `${at}/z`, z, [n, n]);
  for (const name of ["mean", "low", "high"] as const) {
    write(file, `${at}/own_${name}`, byRegion(n, (r) => own[r]?.[name]));
  }
  for (const name of ["before", "after", "loss", "kept"] as const) {
    if (!losses) continue;
    const of = (r: number) => losses.find(({ region }) => region === r)?.[name];
    write(file, `${at}/${name}`, byRegion(n, of));
  }
  file.setAttribute(at, "name", found.name);
  file.setAttribute(at, "about", found.about);
  file.setAttribute(at, "images", found.nImages);
  for (const [name, value] of Object.entries(dominance)) file.setAttribute(at, name, value);
}

function writeSubject(file: Hdf5Writer, at: string, found: SubjectExperiment): void {
  const n = found.findings.matrix.nRois;
  file.createDataset(`${at}/voxel_responses`, { shape: found.voxelMeans.shape, dtype: "f32" });
  file.writeRows(`${at}/voxel_responses`, 0, Float32Array.from(found.voxelMeans.data));
  writeFindings(file, `${at}/predicted`, found.findings);
  writeVoxels(file, `${at}/predicted`, found.voxels, n);
  found.conditions.forEach((one, c) => writeCondition(file, `${at}/conditions/${c}`, one));
  const { contrasts, measured, top } = found;
  if (contrasts.length > 0) {
    const columns = { a: "a", b: "b", apart: "apart", rms: "rms", largest: "largest" } as const;
    for (const name of Object.values(columns)) {
      write(file, `${at}/contrasts/${name}`, contrasts.map((change) => change[name]));
    }
    const deltas = contrasts.flatMap((change) => [...change.deltas]);
    write(file, `${at}/contrasts/deltas`, deltas, [contrasts.length, n]);
  }
  if (top) {
    write(file, `${at}/top_natural/images`, top.images);
    write(file, `${at}/top_natural/targets`, top.targets);
  }
  if (!measured) return;
  writeFindings(file, `${at}/measured`, measured.findings);
  writeVoxels(file, `${at}/measured`, measured.voxels, n);
  file.setAttribute(`${at}/measured`, "design", measured.design);
  file.setAttribute(`${at}/measured`, "units", measured.nUnits);
}

/**
 * Writes an experiment as HDF5: `/regions` and `/subjects` (text); of each subject by its number `/0/predicted/*`, `/0/measured/*`,
 * `/0/conditions/<number>/*`, `/0/contrasts/*`, `/0/top_natural/*` and `/0/voxel_responses [nRegions, nVoxels]`, rows of matrices being
 * targets and columns responses, NaN where there is none; `/across/*` of several subjects.
 *
 * @throws {InputError} when the file system refuses
 */
export async function saveExperiment(
  path: string,
  experiment: Experiment,
  { inPlace = false }: { readonly inPlace?: boolean } = {},
): Promise<void> {
  const { regions, nImages, subjects, summary } = experiment;
  const n = regions.length;
  using file = await Hdf5Writer.create(path, { inPlace });
  file.setAttribute("/", "format", FORMAT);
  file.writeStrings("/regions", regions);
  file.writeStrings("/subjects", subjects.map(({ name }) => name));
  write(file, "/images_of_regions", nImages);
  subjects.forEach((subject, s) => writeSubject(file, `/${s}`, subject));
  write(file, "/across/means", summary.means, [n, n]);
  write(file, "/across/counts", summary.counts);
  for (const name of ["difference", "index", "ownLessNext"] as const) {
    const at = `/across/${name === "ownLessNext" ? "own_less_next" : name}`;
    const of = summary.regions.map((region) => region[name]);
    write(file, `${at}/mean`, of.map(({ mean }) => mean));
    write(file, `${at}/positive`, of.map(({ nPositive }) => nPositive));
    write(file, `${at}/p_sign`, of.map(({ pSign }) => pSign));
    for (const part of ["t", "p", "low", "high", "effect"] as const) {
      write(file, `${at}/${part}`, byRegion(n, (r) => of[r].test?.[part]));
    }
  }
  file.commit();
}

/**
 * Mean responses of every voxel of a subject to the images of some regions, from the file of an experiment.
 *
 * @param subject name of the subject; the first when absent
 * @returns `[nVoxels]` for each region
 * @throws {InputError} when the file is no experiment, or has no such region or subject
 */
export async function readVoxelResponses(
  path: string,
  names: readonly string[],
  subject?: string,
): Promise<Float64Array<ArrayBuffer>[]> {
  using file = await Hdf5File.open(path);
  if (file.attributes().format !== FORMAT) {
    throw new InputError(
      `Cannot read the experiment ${quote(path)}: its format is not "${FORMAT}"`,
    );
  }
  const [regions, subjects] = ["/regions", "/subjects"].map((name) => file.readStrings(name));
  const place = (all: readonly string[], name: string, what: string) => {
    const at = all.findIndex((own) => own.toLowerCase() === name.toLowerCase());
    if (at >= 0) return at;
    throw new InputError(
      `Cannot find the ${what} "${name}" in ${quote(path)}: there are ${all.join(", ")}`,
    );
  };
  const s = subject === undefined ? 0 : place(subjects, subject, "subject");
  return names.map((name) => {
    const r = place(regions, name, "region");
    return toFloat64(file.readRows(`/${s}/voxel_responses`, r, r + 1));
  });
}
