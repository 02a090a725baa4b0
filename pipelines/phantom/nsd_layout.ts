/** Writes a phantom in the Natural Scenes Dataset's own layout, so that what reads NSD reads the phantom. */

import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { writeMat } from "../io/mat.ts";
import { writeNifti } from "../io/nifti.ts";
import { withFileErrors } from "../io/files.ts";
import { hostTensor } from "../io/state_dict.ts";
import { cocoFiles } from "./coco_layout.ts";
import { ATLASES, nsdPaths, regionOf } from "../nsd/names.ts";
import type { Phantom, PhantomCall, PhantomSubject } from "./phantom.ts";
import { ROIS } from "./sheet.ts";
import { type Variable, VARIABLES } from "./tuning.ts";

const VOXEL_SIZE = 1.8; // Millimetres, as in func1pt8mm.
const COCO_SPLIT = "phantom"; // In place of "train2017" and "val2017".
const NSD_SUBJECTS = 8; // Columns of the stimulus table.
const T_PER_WEIGHT = 6; // t value of a voxel that a localizer's category drives as it drives the category's regions.
const CONTRAST_CATEGORY: Readonly<Record<string, Variable>> = {
  faces: "face",
  bodies: "body",
  places: "place",
  characters: "word",
};

/** Writes a small file, making the folders above it. */
export function writeFile(path: string, data: Uint8Array | string): void {
  withFileErrors("write", path, () => {
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    Deno.writeFileSync(path, typeof data === "string" ? new TextEncoder().encode(data) : data);
  });
}

async function newHdf5(path: string): Promise<Hdf5Writer> {
  withFileErrors(
    "write",
    path,
    () => Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true }),
  );
  return await Hdf5Writer.create(path);
}

/** A volume with one value per voxel, and `outside` elsewhere. */
function volume<T extends Float32Array | Int16Array>(
  empty: T,
  subject: PhantomSubject,
  values: ArrayLike<number>,
): T {
  subject.sheet.volumeIndex.forEach((cell, v) => empty[cell] = values[v]);
  return empty;
}

/**
 * Label of every voxel in an atlas, 0 where it has none: regions that NSD splits are split here too, early ones into ventral
 * and dorsal, others into posterior (1) and anterior (2).
 */
export function atlasLabels(subject: PhantomSubject, atlas: string): Int16Array<ArrayBuffer> {
  const { sheet } = subject;
  const labels = new Int16Array(sheet.nVoxels);
  ROIS.forEach((roi, k) => {
    const values = Object.entries(ATLASES[atlas]).filter(([, name]) => regionOf(name) === roi)
      .map(([value]) => Number(value));
    if (values.length === 0) return;
    const voxels = [...sheet.roi.keys()].filter((v) => sheet.roi[v] === k);
    const early = atlas === "prf-visualrois";
    const position = (v: number): number =>
      early ? sheet.flat[2 * v + 1] : Math.abs(sheet.flat[2 * v]);
    const middle = early ? 0.5 : voxels.reduce((sum, v) => sum + position(v), 0) / voxels.length;
    for (const v of voxels) labels[v] = position(v) < middle ? values[0] : values.at(-1)!;
  });
  return labels;
}

async function writeSubject(root: string, phantom: Phantom, s: number): Promise<void> {
  const subject = phantom.subjects[s - 1];
  const { volumeShape, volumeIndex, nVoxels } = subject.sheet;
  const nCells = volumeShape.reduce((a, b) => a * b);
  const nifti = (data: Int16Array<ArrayBuffer> | Float32Array<ArrayBuffer>) =>
    writeNifti(hostTensor(data, volumeShape), { voxelSize: VOXEL_SIZE });
  const { sessionStarts } = phantom.design;
  for (let session = 1; session < sessionStarts.length; session++) {
    const [start, end] = [sessionStarts[session - 1], sessionStarts[session]];
    const betas = new Int16Array((end - start) * nCells);
    for (let t = start; t < end; t++) {
      for (let v = 0; v < nVoxels; v++) {
        betas[(t - start) * nCells + volumeIndex[v]] = subject.betas[t * nVoxels + v];
      }
    }
    using file = await newHdf5(`${root}/${nsdPaths.betas(s)}/${nsdPaths.session(session)}`);
    const shape = [end - start, ...volumeShape];
    file.createDataset("/betas", { shape, dtype: "i16", chunks: [end - start, 1, 1, 1] });
    file.writeRows("/betas", 0, betas);
    file.commit();
  }
  const snr = volume(new Float32Array(nCells), subject, subject.ncsnr);
  writeFile(`${root}/${nsdPaths.betas(s)}/ncsnr.nii.gz`, await nifti(snr));
  const ones = new Int16Array(nVoxels).fill(1);
  const general = volume(new Int16Array(nCells).fill(-1), subject, ones);
  writeFile(`${root}/${nsdPaths.roi(s)}/nsdgeneral.nii.gz`, await nifti(general));
  const brain = volume(new Int16Array(nCells), subject, ones);
  writeFile(`${root}/${nsdPaths.volumes(s)}/brainmask.nii.gz`, await nifti(brain));
  for (const [contrast, category] of Object.entries(CONTRAST_CATEGORY)) {
    const k = VARIABLES.indexOf(category);
    const t = Array.from(
      { length: nVoxels },
      (_, v) => T_PER_WEIGHT * subject.tuning.weights[v * VARIABLES.length + k],
    );
    const data = volume(new Float32Array(nCells), subject, t);
    writeFile(`${root}/${nsdPaths.volumes(s)}/floc_${contrast}tval.nii.gz`, await nifti(data));
  }
  for (const [atlas, names] of Object.entries(ATLASES)) {
    const labels = volume(new Int16Array(nCells).fill(-1), subject, atlasLabels(subject, atlas));
    writeFile(`${root}/${nsdPaths.roi(s)}/${atlas}.nii.gz`, await nifti(labels));
    const table = Object.entries(names).map(([value, name]) => `${value} ${name}\n`).join("");
    writeFile(`${root}/${nsdPaths.labels(s)}/${atlas}.mgz.ctab`, table);
  }
}

/** Subjects' own order of the images: the shared (test) images first, as in NSD. Values are 0-based NSD ids. */
function subjectOrder(phantom: Phantom): number[] {
  const { nTrain, nTest } = phantom.options;
  return Array.from({ length: nTrain + nTest }, (_, i) => i < nTest ? nTrain + i : i - nTest);
}

function writeDesign(root: string, phantom: Phantom): void {
  const order = subjectOrder(phantom);
  const rank = new Map(order.map((id, i) => [id, i]));
  const { trialImage, sessionStarts } = phantom.design;
  const masterordering = Array.from(trialImage, (id) => rank.get(id)! + 1);
  const design = {
    note:
      "The fields of nsd_expdesign.mat; all indices count from 1. NSD id of trial t of subject s, counted from 0: " +
      "subjectim[s][masterordering[t] - 1] - 1.",
    masterordering,
    subjectim: phantom.subjects.map(() => order.map((id) => id + 1)),
    sharedix: order.slice(0, phantom.options.nTest).map((id) => id + 1),
    trialspersession: sessionStarts.slice(1).map((end, i) => end - sessionStarts[i]),
  };
  writeFile(`${root}/${nsdPaths.design}.json`, `${JSON.stringify(design)}\n`);
  const row = (values: readonly number[]) => ({
    shape: [1, values.length],
    data: Float64Array.from(values),
  });
  const subjectim = {
    shape: [design.subjectim.length, order.length],
    data: Float64Array.from(design.subjectim.flat()),
  };
  const mat = writeMat({
    masterordering: row(masterordering),
    subjectim,
    sharedix: row(design.sharedix),
    trialspersession: row(design.trialspersession),
  });
  writeFile(`${root}/${nsdPaths.design}.mat`, mat);
  let session = 0;
  const rows = masterordering.map((subjectImage, t) => {
    while (t >= sessionStarts[session + 1]) session++;
    return `${t + 1},${session + 1},${subjectImage},${trialImage[t]}\n`;
  });
  writeFile(`${root}/${nsdPaths.design}.csv`, `trial,session,subjectImage,nsdId\n${rows.join("")}`);
}

/** NSD's table of the stimuli, with its columns; what the phantom has nothing to say about is empty or 0. */
function writeStimulusInfo(root: string, phantom: Phantom): void {
  const { nTrain, nTest, nRepeats, nSubjects } = phantom.options;
  const subjects = Array.from({ length: NSD_SUBJECTS }, (_, s) => s + 1);
  const repeats = Array.from({ length: Math.max(3, nRepeats) }, (_, k) => k);
  const header = [
    "",
    "cocoId",
    "cocoSplit",
    "cropBox",
    "loss",
    "nsdId",
    "flagged",
    "BOLD5000",
    "shared1000",
  ];
  header.push(...subjects.map((s) => `subject${s}`));
  header.push(...subjects.flatMap((s) => repeats.map((k) => `subject${s}_rep${k}`)));
  const trialsOf = Array.from({ length: nTrain + nTest }, () => [] as number[]);
  phantom.design.trialImage.forEach((id, t) => trialsOf[id].push(t + 1));
  const truth = (value: boolean): string => value ? "True" : "False";
  const rows = trialsOf.map((trials, id) => {
    const cells = [
      id,
      id,
      COCO_SPLIT,
      `"(0.0, 0.0, 0.0, 0.0)"`,
      0,
      id,
      "False",
      "False",
      truth(id >= nTrain),
    ];
    cells.push(...subjects.map((s) => Number(s <= nSubjects)));
    cells.push(...subjects.flatMap((s) => repeats.map((k) => s <= nSubjects ? trials[k] ?? 0 : 0)));
    return `${cells.join(",")}\n`;
  });
  writeFile(`${root}/${nsdPaths.stimulusInfo}`, `${header.join(",")}\n${rows.join("")}`);
}

/**
 * Writes `nsddata`, `nsddata_betas`, `nsddata_stimuli` and `coco` (outlines and captions in COCO's format) into a folder.
 *
 * Same as NSD: paths, `/betas` int16 = 300 × percent signal change [trials, Z, Y, X] in chunks of one voxel, `imgBrick`
 * [n, height, width, 3], label volumes with −1 outside and 0 for none, `ncsnr.nii.gz`, the table of stimuli. Different: the
 * volume is the flat sheet, sessions and images are fewer, images are smaller, and the design is JSON and CSV beside .mat.
 *
 * @throws {InputError} when the file system refuses
 */
export async function writeNsdLayout(
  root: string,
  phantom: Phantom,
  { onProgress, signal }: PhantomCall = {},
): Promise<void> {
  const { size } = phantom.options;
  const total = phantom.subjects.length + 1;
  using stimuli = await newHdf5(`${root}/${nsdPaths.stimuli}`);
  const shape = [phantom.images.length, size, size, 3];
  stimuli.createDataset("imgBrick", { shape, dtype: "u8" });
  stimuli.writeRows("imgBrick", 0, phantom.pixels);
  stimuli.commit();
  writeDesign(root, phantom);
  writeStimulusInfo(root, phantom);
  const coco = cocoFiles(phantom);
  for (const kind of ["instances", "captions"] as const) {
    writeFile(`${root}/${nsdPaths.coco(kind, COCO_SPLIT)}`, coco[kind]);
  }
  onProgress?.({ stage: "nsd", done: 1, total });
  for (let s = 1; s <= phantom.subjects.length; s++) {
    signal?.throwIfAborted();
    await writeSubject(root, phantom, s);
    onProgress?.({ stage: "nsd", done: s + 1, total });
  }
}
