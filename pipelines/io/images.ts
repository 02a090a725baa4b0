import { InputError } from "../errors.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { openArray, parseArrayRef } from "./array_ref.ts";
import { RandomAccessFile, withFileErrors } from "./files.ts";
import { quote } from "./strict_json.ts";

/** Images on disk, read one at a time. */
export interface ImageSource extends Disposable {
  /** The reference as the user gave it, for messages. */
  readonly source: string;
  /** Number of images, at least one. */
  readonly n: number;
  /** A name for each, usable as a file name, without ending; all different. */
  readonly names: readonly string[];
  /** The files that are read, or the one that holds all. */
  readonly files: readonly string[];
  /** Folder of each image, where they come from several or from a list: a clip or run of frames. */
  readonly folders?: readonly string[];
  /**
   * Image `i`, counted from 0.
   *
   * @throws {InputError} when the file is missing or damaged
   */
  read(i: number): RgbImage;
  /** Closes the file of an array; does nothing for folders and lists. */
  close(): void;
}

/** Names of files without folders and endings; numbered where two would be the same. */
function namesOf(paths: readonly string[]): string[] {
  const stems = paths.map((path) => path.replace(/^.*\//s, "").replace(/\.png$/i, ""));
  if (new Set(stems).size === stems.length) return stems;
  const digits = String(stems.length - 1).length;
  return stems.map((stem, i) => `${String(i).padStart(digits, "0")}_${stem}`);
}

async function fromPaths(
  source: string,
  paths: readonly string[],
  folders?: readonly string[],
): Promise<ImageSource> {
  // Loaded when images are: the decoder takes longer to load than the rest of the library.
  const { loadPng } = await import("./png.ts");
  const close = () => {};
  return {
    source,
    n: paths.length,
    names: namesOf(paths),
    files: paths,
    folders,
    read(i) {
      if (!(i in paths)) throw new RangeError(`Cannot read image ${i} of ${paths.length}`);
      return loadPng(paths[i]);
    },
    close,
    [Symbol.dispose]: close,
  };
}

/** Names in natural order. The locale is fixed: the order of images must not depend on the machine. */
function inNaturalOrder(names: readonly string[]): string[] {
  const { compare } = new Intl.Collator("en", { numeric: true });
  return names.toSorted((a, b) => compare(a, b) || (a < b ? -1 : 1));
}

/** Names of the .png files among entries of a folder, image2 before image10. */
function pngNames(entries: readonly Deno.DirEntry[]): string[] {
  const names = entries.map(({ name }) => name);
  return inNaturalOrder(names.filter((name) => !name.startsWith(".") && /\.png$/i.test(name)));
}

/** The .png files of a folder, or where it has none those of the folders in it, one after the other. */
function fromFolder(source: string, folder: string): Promise<ImageSource> {
  const list = (path: string) => withFileErrors("list", path, () => [...Deno.readDirSync(path)]);
  const root = folder.replace(/\/+$/, "");
  const entries = list(folder);
  const names = pngNames(entries);
  if (names.length > 0) return fromPaths(source, names.map((name) => `${root}/${name}`));
  const inner = inNaturalOrder(
    entries.filter(({ name, isDirectory }) => isDirectory && !name.startsWith("."))
      .map(({ name }) => name),
  );
  const found = inner.flatMap((name) =>
    pngNames(list(`${root}/${name}`)).map((png) => ({ path: `${root}/${name}/${png}`, name }))
  );
  if (found.length > 0) {
    return fromPaths(source, found.map(({ path }) => path), found.map(({ name }) => name));
  }
  const other =
    entries.filter(({ name }) => /^[^.].*\.(jpe?g|webp|gif|bmp|tiff?)$/i.test(name)).length;
  const hint = other > 0 ? `, ${other} in other formats, which have to be converted to PNG` : "";
  throw new InputError(
    `Cannot read images from the folder ${quote(source)}: it has no .png files${hint}`,
  );
}

/** The images that a text file lists, one path a line, relative to the list. */
function fromList(source: string, list: string): Promise<ImageSource> {
  using file = new RandomAccessFile(list);
  const text = new TextDecoder().decode(file.read(0, file.size));
  const folder = list.includes("/") ? list.slice(0, list.lastIndexOf("/") + 1) : "";
  const paths: string[] = [];
  text.split(/\r?\n/).forEach((line, i) => {
    const path = line.trim();
    if (path === "" || path.startsWith("#")) return;
    const resolved = path.startsWith("/") ? path : folder + path;
    try {
      withFileErrors("read", resolved, () => Deno.statSync(resolved));
    } catch (cause) {
      if (!(cause instanceof InputError)) throw cause;
      throw new InputError(`${cause.message} (line ${i + 1} of ${quote(list)})`, { cause });
    }
    paths.push(resolved);
  });
  if (paths.length === 0) {
    throw new InputError(`Cannot read images from the list ${quote(source)}: it names no files`);
  }
  const folders = paths.map((path) => path.replace(/\/?[^/]*$/, ""));
  return fromPaths(source, paths, folders);
}

/** Images of an array of bytes, as NSD's `imgBrick`. */
async function fromArray(text: string): Promise<ImageSource> {
  const rows = await openArray(text);
  const [n, height, width, channels] = rows.shape;
  if (
    rows.dtype !== "u8" || rows.shape.length !== 4 || channels !== 3 || n * height * width === 0
  ) {
    rows.close();
    throw new InputError(
      `Cannot read images from ${quote(text)}: it must be u8 [n, height, width, 3], ` +
        `it is ${rows.dtype} [${rows.shape}]`,
    );
  }
  const digits = String(n - 1).length;
  return {
    source: text,
    n,
    names: Array.from({ length: n }, (_, i) => String(i).padStart(digits, "0")),
    files: [parseArrayRef(text).path],
    read(i) {
      return { width, height, data: rows.readTensor(i, i + 1).bytes };
    },
    close: () => rows.close(),
    [Symbol.dispose]: () => rows.close(),
  };
}

/**
 * Opens the images that a reference means: a folder of .png files (in natural order of their names), a folder of such folders (clips or
 * runs of frames, one after the other), a .txt file that lists paths of .png files, one .png file, or an array of bytes `[n, height, width, 3]` in an HDF5,
 * safetensors or .npy file (`nsd_stimuli.hdf5:imgBrick`). Needs the permission to read them.
 *
 * @throws {InputError} when there are none, or the array has another type or shape
 */
export async function openImages(text: string): Promise<ImageSource> {
  const { path, name } = parseArrayRef(text);
  if (name === undefined) {
    const isFolder = withFileErrors("read", path, () => Deno.statSync(path).isDirectory);
    if (isFolder) return await fromFolder(text, path);
    if (/\.txt$/i.test(path)) return await fromList(text, path);
    if (/\.png$/i.test(path)) return await fromPaths(text, [path]);
    if (/\.(jpe?g|webp|gif|bmp|tiff?)$/i.test(path)) {
      throw new InputError(`Cannot read the image ${quote(path)}: it has to be converted to PNG`);
    }
  }
  return await fromArray(text);
}
