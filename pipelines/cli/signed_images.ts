/**
 * Images as diffusion models take them: values from −1 to 1, channels first.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { parseImageSize, preprocess, type Preprocessing } from "../images/preprocess.ts";
import { openArray, parseArrayRef } from "../io/array_ref.ts";
import { openImages } from "../io/images.ts";
import { quote } from "../io/strict_json.ts";
import type { HostValues } from "./diffuse_run.ts";

/** −1 to 1, resized to cover. */
const SIGNED: Preprocessing = {
  ...{ size: 0, filter: "bicubic", fit: "crop" },
  ...{ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
};
/** ITU-R 601 luma, as PIL's conversion to "L". */
const LUMA = [0.299, 0.587, 0.114] as const;
/** Values from −1 to 1 with what resampling adds; more means another scale. */
const MOST = 1.5;

function grey(colors: Float32Array): Float32Array<ArrayBuffer> {
  const plane = colors.length / 3;
  return Float32Array.from(
    { length: plane },
    (_, i) => LUMA.reduce((sum, share, c) => sum + share * colors[c * plane + i], 0),
  );
}

/** Names a file of numbers, of whatever type. */
export const isArray = (reference: string): boolean => {
  const { path, name } = parseArrayRef(reference);
  return name !== undefined || /\.(h5|hdf5|hdf|he5|mat|safetensors|npy)$/i.test(path);
};

async function readArrayImages(
  reference: string,
  channels: number,
): Promise<HostValues | undefined> {
  using rows = await openArray(reference);
  const { dtype, shape } = rows;
  if (dtype === "u8" && shape.length === 4) return undefined; // pictures
  const is3 = shape.length === 3 && channels === 1;
  const full = is3 ? [shape[0], 1, ...shape.slice(1)] : shape;
  if (full.length !== 4 || full[1] !== channels || full.includes(0)) {
    throw new InputError(
      `Cannot use ${
        quote(reference)
      }: it must be [n, ${channels}, height, width] from -1 to 1, or pictures, it is ${dtype} [${shape}]`,
    );
  }
  const data = rows.readRows(0, shape[0]);
  const bad = channels > 3 ? -1 : data.findIndex((v) => !(Math.abs(v) <= MOST));
  if (bad < 0) return { data, shape: full };
  throw new InputError(
    `Cannot use ${quote(reference)}: colours must be from -1 to 1, value ${bad} is ${data[bad]}`,
  );
}

/**
 * Reads images: `[n, channels, height, width]` from −1 to 1 (one channel also `[n, height, width]`), or whatever {@link openImages} reads, in
 * grey where the network has one channel.
 *
 * @param options.size size that pictures are brought to, `S` or `HxW`: resized to cover it, and the middle cut out; their own when left out
 * @throws {InputError} when there are no such images, or they have several sizes
 */
export async function readSignedImages(
  reference: string,
  { channels, size }: { readonly channels: number; readonly size?: string },
): Promise<HostValues> {
  const given = isArray(reference) ? await readArrayImages(reference, channels) : undefined;
  if (given) return given;
  if (channels !== 1 && channels !== 3) {
    throw new InputError(
      `Cannot use ${
        quote(reference)
      }: the network draws ${channels} channels, which pictures do not have`,
    );
  }
  using source = await openImages(reference);
  const images = Array.from({ length: source.n }, (_, i) => {
    const image = source.read(i), own = { height: image.height, width: image.width };
    return preprocess(image, { family: SIGNED, size: size ? parseImageSize(size) : own });
  });
  const [{ height, width }] = images;
  const other = images.findIndex((image) => image.height !== height || image.width !== width);
  if (other >= 0) {
    throw new InputError(
      `Cannot use ${quote(reference)}: images have several sizes, ${height}x${width} and ${
        images[other].height
      }x${images[other].width}; give --size`,
    );
  }
  const plane = height * width, data = new Float32Array(images.length * channels * plane);
  images.forEach((image, i) => {
    data.set(channels === 1 ? grey(image.data) : image.data, i * channels * plane);
  });
  return { data, shape: [images.length, channels, height, width] };
}
