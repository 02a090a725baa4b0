import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { writeMat } from "../../pipelines/io/mat.ts";
import { writeNifti } from "../../pipelines/io/nifti.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { nsdPaths } from "../../pipelines/nsd/names.ts";
import type { TestFolder } from "./io_fixtures.ts";

/** Shape of the volume, an odd one, [Z, Y, X]. */
export const VOLUME = [3, 2, 5];
export const CELLS = 30;

/** A subject of three sessions of 4, 5 and 3 trials: images 2, 4 and 6 are shared, image 9 is seen once, image 7 twice. */
export const TRIALS = [2, 4, 7, 2, 6, 9, 4, 7, 2, 6, 4, 6];
export const SESSIONS = [4, 5, 3];

/** The stored beta of a trial's cell; session 2 has another scale than the rest. */
export function stored(trial: number, cell: number): number {
  const value = ((trial * 37 + cell * 101) % 97) * 11 - 400;
  return trial >= 4 && trial < 9 ? 3 * value + 50 : value;
}

export function sessionValues(session: number): Int16Array<ArrayBuffer> {
  const start = SESSIONS.slice(0, session - 1).reduce((a, b) => a + b, 0);
  return Int16Array.from(
    { length: SESSIONS[session - 1] * CELLS },
    (_, i) => stored(start + Math.floor(i / CELLS), i % CELLS),
  );
}

export function writeBytes(path: string, bytes: Uint8Array | string): void {
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  Deno.writeFileSync(path, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
}

export async function writeVolume(path: string, values: ArrayLike<number>): Promise<void> {
  writeBytes(path, await writeNifti(hostTensor(Float32Array.from(values), VOLUME)));
}

export async function writeHdf5(
  path: string,
  name: string,
  { shape, chunks }: { shape: number[]; chunks?: number[] },
  data: Int16Array<ArrayBuffer> | Uint8Array<ArrayBuffer>,
): Promise<void> {
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  using file = await Hdf5Writer.create(path);
  file.createDataset(name, { shape, dtype: data instanceof Uint8Array ? "u8" : "i16", chunks });
  file.writeRows(name, 0, data);
  file.commit();
}

/** nsdgeneral: every cell but three in four; −1 outside. */
export const GENERAL = Float32Array.from({ length: CELLS }, (_, cell) => cell % 4 === 3 ? -1 : 1);
export const NCSNR = Float32Array.from(
  { length: CELLS },
  (_, cell) => cell === 4 ? NaN : cell / 10,
);
/** floc-faces: label 1 on cells 0 to 9, label 2 on 10 to 14, and outside of the mask too. */
export const FACES = Float32Array.from(
  { length: CELLS },
  (_, cell) => cell < 10 ? 1 : cell < 15 ? 2 : 0,
);

/** Writes the subject: sessions 1 as HDF5, 2 as .nii.gz, 3 as HDF5 in chunks of another shape. */
export async function writeNsd(folder: TestFolder): Promise<string> {
  const root = folder.at("nsd");
  const betas = `${root}/${nsdPaths.betas(1)}`;
  const shape = (session: number) => [SESSIONS[session - 1], ...VOLUME];
  const first = { shape: shape(1), chunks: [4, 1, 1, 1] };
  await writeHdf5(`${betas}/betas_session01.hdf5`, "betas", first, sessionValues(1));
  writeBytes(
    `${betas}/betas_session02.nii.gz`,
    await writeNifti(hostTensor(sessionValues(2), shape(2))),
  );
  const third = { shape: shape(3), chunks: [2, 2, 1, 3] };
  await writeHdf5(`${betas}/betas_session03.hdf5`, "betas", third, sessionValues(3));
  const roi = `${root}/${nsdPaths.roi(1)}`;
  await writeVolume(`${betas}/ncsnr.nii.gz`, NCSNR);
  await writeVolume(`${roi}/nsdgeneral.nii.gz`, GENERAL);
  await writeVolume(`${roi}/floc-faces.nii.gz`, FACES);
  await writeVolume(`${roi}/lh.streams.nii.gz`, FACES.map((label) => label === 2 ? 5 : 0));
  const t = Float32Array.from({ length: CELLS }, (_, cell) => cell / 2);
  await writeVolume(`${root}/${nsdPaths.volumes(1)}/floc_facestval.nii.gz`, t);
  await writeVolume(`${root}/${nsdPaths.volumes(1)}/brainmask.nii.gz`, GENERAL.map(() => 1));
  writeBytes(`${root}/${nsdPaths.labels(1)}/floc-faces.mgz.ctab`, "0 Unknown\n1 OFA\n2 FFA-1\n");
  writeBytes(
    `${root}/${nsdPaths.labels(1)}/streams.mgz.ctab`,
    "0  Unknown 0 0 0 0\r\n5 ventral 1 2 3 0",
  );
  writeBytes(`${root}/${nsdPaths.design}.mat`, design());
  writeBytes(`${root}/${nsdPaths.stimulusInfo}`, stimulusTable());
  return root;
}

/** Images in the subject's own order, shared ones first. */
const OWN = [2, 4, 6, 7, 9];

function design(): Uint8Array<ArrayBuffer> {
  const row = (values: number[]) => ({
    shape: [1, values.length],
    data: Float64Array.from(values),
  });
  const other = [2, 4, 6, 1, 3];
  return writeMat({
    masterordering: row(TRIALS.map((id) => OWN.indexOf(id) + 1)),
    subjectim: { shape: [2, 5], data: Float64Array.from([...OWN, ...other], (id) => id + 1) },
    sharedix: row([3, 5, 7]),
  });
}

/** Ten images; the crop box of image 7 cuts a quarter at the top and a half at the right. */
export function stimulusTable(): string {
  const header = ",cocoId,cocoSplit,cropBox,loss,nsdId,flagged,BOLD5000,shared1000,subject1," +
    "subject1_rep0,subject1_rep1,subject1_rep2";
  const rows = Array.from({ length: 10 }, (_, id) => {
    const trials = TRIALS.flatMap((image, t) => image === id ? [t + 1] : []);
    const box = id === 7 ? "(0.25, 0, 0, 0.5)" : "(0, 0, 0.125, 0.125)";
    const shared = [2, 4, 6].includes(id) ? "True" : "False";
    const repeats = [0, 1, 2].map((k) => trials[k] ?? 0).join();
    return `${id},${500 + id},train2017,"${box}",0.1,${id},False,False,${shared},${
      Number(trials.length > 0)
    },${repeats}`;
  });
  return `${header}\n${rows.join("\n")}\n`;
}
