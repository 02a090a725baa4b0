/**
 * Cortical surfaces and values on them, in FreeSurfer's formats and GIFTI, told apart by what the file begins with.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { RandomAccessFile } from "./files.ts";
import {
  parsePatch,
  parseTriangles,
  parseVertexValues,
  PATCH_MAGIC,
  TRIANGLE_MAGIC,
  VALUES_MAGIC,
} from "./freesurfer.ts";
import { type GiftiArray, parseGifti } from "./gifti.ts";
import { isGzip } from "./gzip.ts";
import { checkSurface, type Surface, transformPoints } from "./mesh.ts";
import { MghFile } from "./mgh.ts";
import { hostArray, type HostTensor, toFloat32 } from "./state_dict.ts";
import { quote } from "./strict_json.ts";

/** How a surface is read. */
export interface ReadSurfaceOptions {
  /** The full surface that a FreeSurfer patch was cut from, which has the faces. */
  readonly full?: Surface;
  /**
   * `scanner` gives the coordinates of the scanner, in which NIfTI volumes lie: by the volume geometry at the end of a FreeSurfer
   * file, or by GIFTI's matrix to `NIFTI_XFORM_SCANNER_ANAT`. `stored` gives what the file holds.
   */
  readonly space?: "stored" | "scanner";
}

const SCANNER = "NIFTI_XFORM_SCANNER_ANAT";

/** What a file is by its first bytes. */
function kindOf(head: Uint8Array): "triangles" | "patch" | "values" | "mgh" | "gifti" | undefined {
  const word = head.reduce((sum, byte) => sum * 256 + byte, 0); // Big-endian.
  if (head.length < 4) return undefined;
  if (word === PATCH_MAGIC) return "patch";
  if (word >>> 8 === TRIANGLE_MAGIC) return "triangles";
  if (word >>> 8 === VALUES_MAGIC) return "values";
  if (word === 1 || isGzip(head)) return "mgh";
  // After a byte order mark, or white space before the first tag.
  const text = new TextDecoder().decode(head).trimStart();
  return text.startsWith("<") ? "gifti" : undefined;
}

/** The integers of an array of triangles. */
function giftiFaces(tensor: HostTensor, cannot: string): Uint32Array<ArrayBuffer> {
  const array = hostArray(tensor);
  const faces = new Uint32Array(array.length);
  array.forEach((value, i) => {
    if (!(value >= 0) || !Number.isInteger(Number(value))) {
      throw new InputError(`${cannot} face ${Math.floor(i / 3)} names vertex ${value}`);
    }
    faces[i] = Number(value);
  });
  return faces;
}

/** The point set of a GIFTI file in the coordinates that are asked for. */
function giftiVertices(
  { tensor, transforms }: GiftiArray,
  { space, cannot }: { readonly space: "stored" | "scanner"; readonly cannot: string },
): Float32Array<ArrayBuffer> {
  const points = toFloat32(tensor);
  if (space === "stored" || transforms.some(({ from }) => from === SCANNER)) return points;
  const matrix = transforms.find(({ to }) => to === SCANNER)?.matrix;
  if (!matrix) {
    const spaces = transforms.map(({ from, to }) => `${from} to ${to}`);
    throw new InputError(
      `${cannot} scanner coordinates need a matrix to ${SCANNER}, it has ${
        spaces.join(", ") || "none"
      }`,
    );
  }
  return transformPoints(points, matrix);
}

async function giftiSurface(
  bytes: Uint8Array<ArrayBuffer>,
  { space, cannot }: { readonly space: "stored" | "scanner"; readonly cannot: string },
): Promise<Surface> {
  const arrays = await parseGifti(bytes, cannot);
  const [points, triangles] = ["POINTSET", "TRIANGLE"].map((name) => {
    const array = arrays.find(({ intent }) => intent === `NIFTI_INTENT_${name}`);
    const shape = array?.tensor.shape ?? [];
    if (!array || shape.length !== 2 || shape[1] !== 3) {
      throw new InputError(
        `${cannot} a surface needs an array NIFTI_INTENT_${name} of [n,3], it has ${
          arrays.map(({ intent, tensor }) => `${intent} [${tensor.shape}]`).join(", ") || "none"
        }`,
      );
    }
    return array;
  });
  const surface = {
    vertices: giftiVertices(points, { space, cannot }),
    faces: giftiFaces(triangles.tensor, cannot),
  };
  checkSurface(surface, cannot);
  return surface;
}

/**
 * Reads a surface: FreeSurfer's triangles (`lh.inflated`, `lh.white`) and patches (`lh.full.flat.patch.3d`), or GIFTI (`.surf.gii`).
 * Needs the permission to read the file.
 *
 * @param path of a file that begins as one of these does, whatever its name
 * @throws {InputError} when it is none of these, is damaged or cut off, or lacks what an option asks for
 */
export async function readSurface(
  path: string,
  { full, space = "stored" }: ReadSurfaceOptions = {},
): Promise<Surface> {
  const cannot = `Cannot read the surface ${quote(path)}:`;
  using file = new RandomAccessFile(path);
  const kind = kindOf(file.read(0, Math.min(4, file.size)));
  if (kind === "values") {
    throw new InputError(
      `${cannot} it begins with 0xFFFFFF, as values per vertex do and old surfaces of quadrangles, which ` +
        "FreeSurfer's mris_convert turns into triangles",
    );
  }
  if (kind === undefined || kind === "mgh") {
    throw new InputError(
      `${cannot} it must be a surface or patch of FreeSurfer or GIFTI, its first bytes are none of these`,
    );
  }
  const bytes = file.read(0, file.size);
  if (kind === "triangles") return parseTriangles(bytes, { cannot, space });
  if (kind === "gifti") return await giftiSurface(bytes, { space, cannot });
  if (!full || space === "scanner") {
    throw new InputError(
      full
        ? `${cannot} a patch has no scanner coordinates`
        : `${cannot} it is a patch, which has no faces of its own: the full surface must be given`,
    );
  }
  return parsePatch(bytes, full, cannot);
}

/** Which of several values per vertex is read. */
export interface ReadVertexValuesOptions {
  /** Frame of an MGH file, or array of a GIFTI file, counted from 0. */
  readonly frame?: number;
}

/**
 * Reads one value per vertex: FreeSurfer's `lh.curv`, `lh.sulc`; `.mgh` and `.mgz`; GIFTI `.func.gii`, `.shape.gii`, `.label.gii`.
 * Needs the permission to read the file. `MghFile` reads many frames.
 *
 * @returns `[nVertices]`; labels are their numbers
 * @throws {InputError} when it is none of these, is damaged or cut off, or has no such frame
 */
export async function readVertexValues(
  path: string,
  { frame = 0 }: ReadVertexValuesOptions = {},
): Promise<Float32Array<ArrayBuffer>> {
  const cannot = `Cannot read values per vertex from ${quote(path)}:`;
  using file = new RandomAccessFile(path);
  const kind = kindOf(file.read(0, Math.min(4, file.size)));
  if (kind === "mgh") return await (await MghFile.open(path)).frame(frame);
  if (kind !== "values" && kind !== "gifti") {
    throw new InputError(
      `${cannot} it must be a curvature, MGH or GIFTI file, ${
        kind ? `it is a surface` : "its first bytes are none of these"
      }`,
    );
  }
  const bytes = file.read(0, file.size);
  const frames = kind === "values"
    ? [parseVertexValues(bytes, cannot)]
    : (await parseGifti(bytes, cannot))
      .filter(({ intent }) => !/_(POINTSET|TRIANGLE)$/.test(intent))
      .map(({ tensor }) => toFloat32(tensor));
  if (!(frame in frames)) {
    throw new InputError(`${cannot} it has ${frames.length} frames, there is no frame ${frame}`);
  }
  return frames[frame];
}
