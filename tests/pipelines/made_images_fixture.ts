/** A folder as `gyrus maximize` writes it, with pictures that tell themselves apart. */
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";

/** What a folder holds. */
export interface MadeFixture {
  /** What each image was made for. */
  readonly targets: readonly string[];
  /** Seed of each. */
  readonly seeds?: readonly number[];
  /** Predicted response of each. */
  readonly responses?: readonly number[];
  /** Side of the images. */
  readonly side?: number;
  /** Colours of image `i`, `[3, side, side]`; a hue of its own when absent. */
  readonly image?: (i: number) => Float32Array<ArrayBuffer>;
}

/** An image of one hue with a bright bar whose place depends on the number. */
export function madeImage(i: number, side: number): Float32Array<ArrayBuffer> {
  const data = new Float32Array(3 * side * side);
  for (let at = 0; at < data.length; at++) {
    const c = Math.floor(at / (side * side)), x = at % side;
    const hue = 0.5 + 0.4 * Math.cos(2 * Math.PI * (i / 12 + c / 3));
    data[at] = Math.floor(8 * x / side) === i % 8 ? 1 : hue;
  }
  return data;
}

/** Writes `maximize.h5` into a folder. */
export async function writeMade(folder: string, made: MadeFixture): Promise<void> {
  const { targets, side = 16, image = (i) => madeImage(i, side) } = made;
  const n = targets.length;
  const { seeds = targets.map((t, i) => targets.slice(0, i).filter((o) => o === t).length) } = made;
  const { responses = targets.map((_, i) => 1 + i / 10) } = made;
  Deno.mkdirSync(folder, { recursive: true });
  using file = await Hdf5Writer.create(`${folder}/maximize.h5`);
  file.createDataset("/images", { shape: [n, 3, side, side], dtype: "f32" });
  for (let i = 0; i < n; i++) file.writeRows("/images", i, image(i));
  for (const [name, values] of Object.entries({ seeds, responses })) {
    file.createDataset(`/${name}`, { shape: [n], dtype: "f64" });
    file.writeRows(`/${name}`, 0, Float64Array.from(values));
  }
  file.writeStrings("/targets", targets);
  file.commit();
}
