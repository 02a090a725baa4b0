/** Reads responses from the Natural Scenes Dataset's layout: z-scored per session, repeats averaged. */

import { RepeatAverager, zscoreSession } from "../encoding/betas.ts";
import { InputError } from "../errors.ts";
import { fileError } from "../io/files.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { readNifti } from "../io/nifti.ts";
import { hostArray, type HostTensor, toFloat32 } from "../io/state_dict.ts";
import { parseJsonObject, quote } from "../io/strict_json.ts";
import { ATLASES, BETAS, nsdPaths, regionOf } from "./nsd_names.ts";
import type { PhantomCall } from "./phantom.ts";
import { BETA_SCALE } from "./scanner.ts";

/** Which part of the data set to read. */
export interface LoadNsdOptions extends PhantomCall {
  /** Kind of betas. */
  readonly betas?: string;
  /** Number of sessions; all that are there when left out. */
  readonly nSessions?: number;
}

/** One subject's responses. */
export interface NsdResponses {
  /** NSD ids (rows of `imgBrick`, from 0) of the images seen, ascending, [nImages]. */
  readonly nsdIds: Uint32Array<ArrayBuffer>;
  /** Number of trials behind each row, [nImages]. */
  readonly nRepeats: Uint16Array<ArrayBuffer>;
  /** 1 for images that all subjects were to see, [nImages]. */
  readonly shared: Uint8Array<ArrayBuffer>;
  /** Responses, [nImages, nVoxels]. */
  readonly responses: Float32Array<ArrayBuffer>;
  /** ncsnr of each voxel as the data set states it, [nVoxels]. */
  readonly ncsnr: Float32Array<ArrayBuffer>;
  /** C-order index of each voxel in the volume, [nVoxels]. */
  readonly volumeIndex: Uint32Array<ArrayBuffer>;
  /** Shape of the volume, [Z, Y, X]. */
  readonly volumeShape: readonly number[];
  /** Region name to its voxels, as positions in the list of voxels; empty regions are left out. */
  readonly rois: ReadonlyMap<string, Uint32Array<ArrayBuffer>>;
}

async function readFile(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(path);
  } catch (cause) {
    throw fileError("read", path, cause);
  }
}

async function readVolume(path: string, shape?: readonly number[]): Promise<HostTensor> {
  const volume = await readNifti(await readFile(path), { source: path });
  if (shape && volume.shape.join() !== shape.join()) {
    throw new InputError(
      `Cannot use ${quote(path)}: its volume must be [${shape}], got [${volume.shape}]`,
    );
  }
  return volume;
}

/** The experiment's design: image of each trial of a subject (0-based NSD ids), and the shared images. */
async function readDesign(
  root: string,
  subject: number,
): Promise<{ trialNsdId: number[]; shared: ReadonlySet<number> }> {
  const path = `${root}/${nsdPaths.design}.json`;
  const cannot = `Cannot read the design ${quote(path)}`;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    if (!(cause instanceof InputError)) throw cause;
    throw new InputError(
      `${cause.message}; write it from nsd_expdesign.mat with Python: import json, scipy.io; ` +
        `d = scipy.io.loadmat("nsd_expdesign.mat"); json.dump({k: d[k].squeeze().tolist() ` +
        `for k in ("masterordering", "subjectim", "sharedix")}, open("nsd_expdesign.json", "w"))`,
      { cause },
    );
  }
  const json = parseJsonObject(bytes, cannot);
  const numbers = (value: unknown, name: string): number[] => {
    const good = Array.isArray(value) && value.every((x) => Number.isSafeInteger(x) && x >= 1);
    if (!good) throw new InputError(`${cannot}: "${name}" must be whole numbers from 1`);
    return value;
  };
  const rows = Array.isArray(json.subjectim) ? json.subjectim : [];
  if (rows[subject - 1] === undefined) {
    throw new InputError(
      `${cannot}: it has ${rows.length} subjects, subject ${subject} was asked for`,
    );
  }
  const images = numbers(rows[subject - 1], "subjectim");
  const trialNsdId = numbers(json.masterordering, "masterordering").map((index) => {
    if (index > images.length) {
      throw new InputError(`${cannot}: a trial shows image ${index} of ${images.length}`);
    }
    return images[index - 1] - 1;
  });
  return { trialNsdId, shared: new Set(numbers(json.sharedix, "sharedix").map((id) => id - 1)) };
}

/** The session's betas of the chosen voxels in percent signal change, [nTrials, nVoxels]. */
async function readSession(
  path: string,
  volumeIndex: Uint32Array,
  volumeShape: readonly number[],
): Promise<Float32Array<ArrayBuffer>> {
  using file = await Hdf5File.open(path);
  const { shape, dtype } = file.info("betas");
  if (shape.length !== 4 || shape.slice(1).join() !== volumeShape.join()) {
    throw new InputError(
      `Cannot use the betas of ${
        quote(path)
      }: they must be [trials,${volumeShape}], got [${shape}]`,
    );
  }
  const data = hostArray(file.read("betas"));
  const nCells = volumeShape.reduce((a, b) => a * b, 1);
  const scale = dtype === "i16" ? BETA_SCALE : 1;
  const out = new Float32Array(shape[0] * volumeIndex.length);
  for (let t = 0, i = 0; t < shape[0]; t++) {
    for (const cell of volumeIndex) out[i++] = Number(data[t * nCells + cell]) / scale;
  }
  return out;
}

async function readRois(
  root: string,
  subject: number,
  volumeIndex: Uint32Array,
  volumeShape: readonly number[],
): Promise<Map<string, Uint32Array<ArrayBuffer>>> {
  const voxels = new Map<string, number[]>();
  for (const [atlas, names] of Object.entries(ATLASES)) {
    const path = `${root}/${nsdPaths.roi(subject)}/${atlas}.nii.gz`;
    try {
      Deno.statSync(path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) continue; // Not every subject has every atlas.
      throw fileError("read", path, cause);
    }
    const labels = toFloat32(await readVolume(path, volumeShape));
    volumeIndex.forEach((cell, v) => {
      const name = names[labels[cell]];
      if (name === undefined) return;
      const region = regionOf(name);
      voxels.set(region, [...(voxels.get(region) ?? []), v]);
    });
  }
  return new Map([...voxels].map(([name, list]) => [name, Uint32Array.from(list)]));
}

function countSessions(folder: string): number {
  let n = 0;
  try {
    for (const { name } of Deno.readDirSync(folder)) {
      n = Math.max(n, Number(/^betas_session(\d+)\.hdf5$/.exec(name)?.[1] ?? 0));
    }
  } catch (cause) {
    throw fileError("read", folder, cause);
  }
  if (n === 0) {
    throw new InputError(`Cannot read betas: ${quote(folder)} has no betas_session01.hdf5`);
  }
  return n;
}

/**
 * Reads the voxels of a subject's `nsdgeneral` mask: each session's betas are z-scored per voxel, then the trials of an image averaged.
 *
 * One session is in memory at a time.
 *
 * @param root the folder that holds `nsddata` and `nsddata_betas`
 * @param subject counted from 1
 * @throws {InputError} when a file is missing, damaged, or does not agree with the others
 */
export async function loadNsd(
  root: string,
  subject: number,
  { betas = BETAS, nSessions, onProgress, signal }: LoadNsdOptions = {},
): Promise<NsdResponses> {
  const folder = `${root}/${nsdPaths.betas(subject, betas)}`;
  const general = await readVolume(`${root}/${nsdPaths.roi(subject)}/nsdgeneral.nii.gz`);
  const mask = toFloat32(general);
  const volumeIndex = Uint32Array.from(mask.keys().filter((cell) => mask[cell] > 0));
  const snr = toFloat32(await readVolume(`${folder}/ncsnr.nii.gz`, general.shape));
  const { trialNsdId, shared } = await readDesign(root, subject);
  const total = nSessions ?? countSessions(folder);
  const all = Uint32Array.from(new Set(trialNsdId)).sort();
  const row = new Map([...all].map((id, i) => [id, i]));
  const repeats = new RepeatAverager(all.length, volumeIndex.length);
  let trial = 0;
  for (let session = 1; session <= total; session++) {
    signal?.throwIfAborted();
    const path = `${folder}/${nsdPaths.session(session)}`;
    const trials = await readSession(path, volumeIndex, general.shape);
    const nTrials = trials.length / volumeIndex.length;
    if (trial + nTrials > trialNsdId.length) {
      throw new InputError(
        `Cannot use ${quote(path)}: it ends at trial ${
          trial + nTrials
        }, the design has ${trialNsdId.length}`,
      );
    }
    const rows = trialNsdId.slice(trial, trial + nTrials).map((id) => row.get(id)!);
    repeats.add(zscoreSession(trials, volumeIndex.length), rows);
    trial += nTrials;
    onProgress?.({ stage: "sessions", done: session, total });
  }
  const nsdIds = all.filter((_, i) => repeats.counts[i] > 0);
  return {
    nsdIds,
    nRepeats: repeats.counts.filter((count) => count > 0),
    shared: Uint8Array.from(nsdIds, (id) => Number(shared.has(id))),
    responses: repeats.average(),
    ncsnr: Float32Array.from(volumeIndex, (cell) => snr[cell]),
    volumeIndex,
    volumeShape: general.shape,
    rois: await readRois(root, subject, volumeIndex, general.shape),
  };
}
