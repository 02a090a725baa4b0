/**
 * `--clips` and `--frames-per-clip` of `gyrus features`: which images are frames of one clip or TR.
 *
 * @module
 */
import type { Command } from "commander";
import { type Clip, clipsByLabel, clipsByLength } from "../encoding/clips.ts";
import { InputError } from "../errors.ts";
import type { Hdf5Writer } from "../io/hdf5_writer.ts";
import { realNumber } from "./options.ts";
import type { PixelSource } from "./pixel_source.ts";
import { readVector } from "./read_matrix.ts";

/** Options about clips. */
export interface ClipCliOptions {
  readonly clips?: string;
  readonly framesPerClip?: number;
}

/** Clips as the options say, with what is written about them. */
export interface ClipPlan {
  readonly clips: readonly Clip[];
  /** A name for each. */
  readonly names: readonly string[];
  /** Run of each, where clips are pieces of runs. */
  readonly runs?: Int32Array<ArrayBuffer>;
}

/** What the help says about them. */
export const CLIPS_HELP = `
With --clips or --frames-per-clip images are frames of videos, and a row is the mean over the frames of a clip or TR of what is computed
of each; frames of one batch are in memory at a time. --images may be a folder of folders of .png, one for each clip or run:
  --clips folders        a clip is a folder
  --clips REF            a clip number for each image; the images of a clip follow each other
  --frames-per-clip N    N frames a clip, counted anew in each folder; N need not be whole (29.97 frames a second, TR 1.5 s: 44.955)
Beside the features there are then /names of the clips, /frames [clips], how many frames each has, and with --frames-per-clip
/runs [clips], the number of the folder, for encode fit --delays --runs; with --clips REF /clips [clips], the numbers.
`;

/** Adds the options. */
export function addClipOptions(command: Command): Command {
  return command
    .option("--clips <ref>", "average over clips: folders, or a clip number for each image [n]")
    .option("--frames-per-clip <n>", "average over so many frames, as of a TR", realNumber);
}

/** Folder of each image as numbers, in the order in which they come. */
function folderNumbers(folders: readonly string[]): { numbers: Int32Array; names: string[] } {
  const names = [...new Set(folders)];
  const at = new Map(names.map((name, i) => [name, i]));
  return { numbers: Int32Array.from(folders, (name) => at.get(name)!), names };
}

/**
 * The clips that the options mean.
 *
 * @returns undefined where they name none
 * @throws {InputError} when both are given, or what they name does not suit the images
 */
export async function clipsOf(
  { clips: ref, framesPerClip }: ClipCliOptions,
  { n, folders }: PixelSource,
): Promise<ClipPlan | undefined> {
  if (ref === undefined && framesPerClip === undefined) return undefined;
  if (ref !== undefined && framesPerClip !== undefined) {
    throw new InputError(
      "Cannot choose the clips: --clips and --frames-per-clip exclude each other",
    );
  }
  const there = folders && folderNumbers(folders);
  if (framesPerClip !== undefined) {
    const clips = clipsByLength(n, framesPerClip, there?.numbers);
    const inRun = new Map<number, number>();
    const names = clips.map(({ label }) => {
      const place = inRun.get(label) ?? 0;
      inRun.set(label, place + 1);
      return there ? `${there.names[label]}_${place}` : String(place);
    });
    return { clips, names, runs: Int32Array.from(clips, ({ label }) => label) };
  }
  if (ref !== "folders") {
    const clips = clipsByLabel(await readVector(ref!, n, "one per image"));
    return { clips, names: clips.map(({ label }) => String(label)) };
  }
  if (!there) {
    throw new InputError("Cannot take a clip for each folder: --images has no folders in it");
  }
  const clips = clipsByLabel(there.numbers);
  return { clips, names: clips.map(({ label }) => there.names[label]) };
}

/** Writes what there is about clips beside their features. */
export function writeClips(file: Hdf5Writer, { clips, names, runs }: ClipPlan): void {
  file.writeStrings("/names", names);
  const shape = [clips.length];
  file.createDataset("/frames", { shape, dtype: "i32" });
  file.writeRows("/frames", 0, Int32Array.from(clips, ({ start, end }) => end - start));
  const path = runs ? "/runs" : "/clips";
  file.createDataset(path, { shape, dtype: runs ? "i32" : "f64" });
  file.writeRows(path, 0, runs ?? Float64Array.from(clips, ({ label }) => label));
}
