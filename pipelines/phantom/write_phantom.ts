/** Writes a phantom to disk: plain files as a user's own data would be, and NSD's layout beside them. */

import { InputError } from "../errors.ts";
import { mosaic } from "../images/mosaic.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { withFileErrors } from "../io/files.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { writePng } from "../io/png.ts";
import type { HostArray } from "../io/state_dict.ts";
import { captionScene, categoryPrompts } from "./captions.ts";
import { writeFile, writeNsdLayout } from "./nsd_layout.ts";
import {
  makePhantom,
  type Phantom,
  type PhantomCall,
  type PhantomOptions,
  type PhantomSubject,
} from "./phantom.ts";
import { categoryMask, type RenderedScene } from "./render.ts";
import { CATEGORIES } from "./scene.ts";
import { ROIS } from "./sheet.ts";
import { tokenizerFiles } from "./tokenizer.ts";

/**
 * Labels, objects and depth of an image as one picture: red = 40 × category label, green = 60 × object (0 background),
 * blue = 255 × depth.
 */
export function truthImage({ labels, instances, depth }: RenderedScene): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(3 * labels.length);
  for (let p = 0; p < labels.length; p++) {
    out[3 * p] = 40 * labels[p];
    out[3 * p + 1] = 60 * instances[p];
    out[3 * p + 2] = Math.round(255 * depth[p]);
  }
  return out;
}

/** The first images of a phantom in one picture, six rows of twelve where there are as many. */
export function overview(phantom: Phantom): RgbImage {
  const { size } = phantom.options;
  const images = phantom.images.slice(0, 72)
    .map(({ rendered }) => ({ width: size, height: size, data: rendered.rgb }));
  return mosaic(images, { columns: Math.min(12, images.length) });
}

async function writeImages(dir: string, phantom: Phantom, call: PhantomCall): Promise<void> {
  const { size } = phantom.options;
  const total = phantom.images.length;
  writeFile(`${dir}/overview.png`, writePng(overview(phantom)));
  for (let i = 0; i < total; i++) {
    const { rendered, test } = phantom.images[i];
    const name = `${test ? "test" : "train"}/${String(i).padStart(5, "0")}.png`;
    const png = (data: Uint8Array) => writePng({ width: size, height: size, data });
    writeFile(`${dir}/images/${name}`, png(rendered.rgb));
    writeFile(`${dir}/truth/${name}`, png(truthImage(rendered)));
    if (i % 16 === 15 || i === total - 1) {
      call.onProgress?.({ stage: "files", done: i + 1, total });
      await new Promise((resolve) => setTimeout(resolve));
      call.signal?.throwIfAborted();
    }
  }
}

function writeText(dir: string, phantom: Phantom): void {
  for (const split of ["train", "test"]) {
    const images = phantom.images.filter(({ test }) => test === (split === "test"));
    const lines = (detail: "short" | "full"): string =>
      images.map(({ scene }) => `${captionScene(scene, { detail })}\n`).join("");
    writeFile(`${dir}/captions_${split}.txt`, lines("full"));
    writeFile(`${dir}/captions_${split}_short.txt`, lines("short"));
  }
  for (const [category, prompts] of Object.entries(categoryPrompts)) {
    writeFile(`${dir}/prompts/${category}.txt`, `${prompts.join("\n")}\n`);
  }
  const scenes = phantom.images.map(({ scene }) => `${JSON.stringify(scene)}\n`);
  writeFile(`${dir}/scenes.jsonl`, scenes.join(""));
  const { merges, vocab } = tokenizerFiles();
  writeFile(`${dir}/tokenizer/merges.txt`, merges);
  writeFile(`${dir}/tokenizer/vocab.json`, vocab);
}

async function writeResponses(
  dir: string,
  phantom: Phantom,
  subject: PhantomSubject,
): Promise<void> {
  const { nTrain, nTest } = phantom.options;
  const { sheet } = subject;
  const n = sheet.nVoxels;
  using file = await Hdf5Writer.create(`${dir}/responses_${subject.name}.h5`);
  const add = (name: string, dtype: "f32" | "u8", data: HostArray, shape: number[]): void => {
    file.createDataset(name, { dtype, shape });
    file.writeRows(name, 0, data);
  };
  add("train", "f32", subject.responses.subarray(0, nTrain * n), [nTrain, n]);
  add("test", "f32", subject.responses.subarray(nTrain * n), [nTest, n]);
  add("ncsnr", "f32", subject.ncsnr, [n]);
  add("noise_ceiling", "f32", subject.noiseCeiling, [n]);
  add("roi", "u8", sheet.roi, [n]);
  add("hemisphere", "u8", sheet.hemisphere, [n]);
  add("flat", "f32", sheet.flat, [n, 2]);
  file.writeStrings("roi_names", ROIS);
  file.setAttribute("roi", "names", ROIS.join(" "));
  file.commit();
  const [, columns] = sheet.volumeShape;
  const rows = Array.from(sheet.roi, (roi, v) => {
    const cell = sheet.volumeIndex[v];
    const xyz = [cell % 2, Math.floor(cell / 2) % columns, Math.floor(cell / 2 / columns)];
    const numbers = [
      sheet.flat[2 * v],
      sheet.flat[2 * v + 1],
      subject.trueNcsnr[v],
      subject.noiseCeiling[v],
    ];
    const side = sheet.hemisphere[v] === 0 ? "lh" : "rh";
    return `${v},${side},${ROIS[roi]},${xyz},${numbers.map((x) => x.toFixed(4))}\n`;
  });
  writeFile(
    `${dir}/rois_${subject.name}.csv`,
    `voxel,hemisphere,roi,x,y,z,flatX,flatY,ncsnrTrue,noiseCeiling\n${rows.join("")}`,
  );
}

/** What is truly in the images: the category of every pixel, and of the test images masks and depth. */
async function writeTruth(dir: string, { images, options: { size } }: Phantom): Promise<void> {
  for (const set of ["train", "test"]) {
    const own = images.filter(({ test }) => test === (set === "test"));
    using file = await Hdf5Writer.create(`${dir}/truth_${set}.h5`);
    file.createDataset("labels", { dtype: "u8", shape: [own.length, size, size] });
    own.forEach(({ rendered }, i) => file.writeRows("labels", i, Uint8Array.from(rendered.labels)));
    if (set === "test") writeMasks(file, own, size);
    file.writeStrings("categories", CATEGORIES);
    file.commit();
  }
}

function writeMasks(file: Hdf5Writer, images: Phantom["images"], size: number): void {
  const shape = [images.length, size, size];
  file.createDataset("masks", { dtype: "u8", shape: shape.toSpliced(1, 0, CATEGORIES.length) });
  file.createDataset("depth", { dtype: "f32", shape });
  images.forEach(({ rendered }, i) => {
    const masks = new Uint8Array(CATEGORIES.length * size * size);
    CATEGORIES.forEach((c, k) => masks.set(categoryMask(rendered, c), k * size * size));
    file.writeRows("masks", i, masks);
    file.writeRows("depth", i, rendered.depth);
  });
}

/** A study of all subjects, for `gyrus localize --config`; backbones are given by --model. */
function studySettings({ subjects }: Phantom): string {
  const settings = {
    subjects: subjects.map(({ name }) => `responses_${name}.h5`),
    trainImages: "images/train",
    testImages: "images/test",
    truth: "truth_test.h5",
    tokenizer: ["tokenizer"],
    captions: ["face", "body", "place", "food", "word"].map((name) => `prompts/${name}.txt`),
    encoderSize: ["64"], // the phantom's networks were trained at it
    size: ["128"],
    distill: [17],
  };
  return `${JSON.stringify(settings, null, 2)}\n`;
}

function readme({ options }: Phantom): string {
  const { seed, nTrain, nTest, size, nSubjects } = options;
  return `A phantom: rendered scenes and simulated brain responses, made by Gyrus with seed ${seed}.
What scores on it say is about software, never about brains.

overview.png                   the first images in one picture
images/{train,test}/*.png      ${nTrain} + ${nTest} images of ${size} x ${size} pixels; the name is the NSD id
truth/{train,test}/*.png       red = 40 x category (face body place food word object = 1..6, 0 none),
                               green = 60 x object (0 background), blue = 255 x depth (far = large)
truth_{train,test}.h5          labels [images, height, width] as above, categories; of the test images also
                               masks [images, categories, height, width] and depth (far = large)
captions_{train,test}[_short].txt   one line per image, in the order of the names
prompts/<category>.txt         prompts that name a category
tokenizer/                     CLIP byte-pair vocabulary of all these words
scenes.jsonl                   one scene per line: the values behind the pixels
responses_subjNN.h5            train, test [images, voxels]: z-scored per session, repeats averaged; ncsnr (estimated),
                               noise_ceiling (true, share of variance), roi (index into roi_names), hemisphere
                               (0 left, 1 right), flat (flat-map coordinates)
brain_sail.json                a study of all this: gyrus localize --config brain_sail.json --model WEIGHTS --out STUDY
rois_subjNN.csv                the same table of voxels as text, with the true ncsnr
nsd/                           the same data in the layout of the Natural Scenes Dataset (${nSubjects} subjects)
`;
}

/** Refuses a folder that already holds something. */
function checkEmpty(dir: string): void {
  withFileErrors("write", dir, () => {
    Deno.mkdirSync(dir, { recursive: true });
    for (const entry of Deno.readDirSync(dir)) {
      throw new InputError(
        `Cannot write the phantom to "${dir}": the folder must be empty, it holds "${entry.name}"`,
      );
    }
  });
}

/**
 * Makes a phantom and writes it into a folder, which must be empty or not there yet.
 *
 * @returns the phantom that was written
 * @throws {InputError} for bad options, a folder that is not empty, or when the file system refuses
 */
export async function writePhantom(
  dir: string,
  options: PhantomOptions = {},
  call: PhantomCall = {},
): Promise<Phantom> {
  checkEmpty(dir);
  const phantom = await makePhantom(options, call);
  await writeImages(dir, phantom, call);
  writeText(dir, phantom);
  await writeTruth(dir, phantom);
  for (const subject of phantom.subjects) await writeResponses(dir, phantom, subject);
  await writeNsdLayout(`${dir}/nsd`, phantom, call);
  writeFile(`${dir}/brain_sail.json`, studySettings(phantom));
  writeFile(`${dir}/README.txt`, readme(phantom));
  return phantom;
}
