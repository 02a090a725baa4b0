/**
 * FreeSurfer's binary surfaces, patches and per-vertex values; all numbers big-endian. Layouts as in its own MATLAB readers
 * (`read_surf.m`, `read_patch.m`, `read_curv.m`) and, for the footer, `mrisurf_io.cpp`.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { checkSurface, type Surface, transformPoints } from "./mesh.ts";
import { swapBytes } from "./nifti.ts";

/** First three bytes of a triangle surface. */
export const TRIANGLE_MAGIC = 0xfffffe;
/** First three bytes of per-vertex values, and of surfaces of quadrangles. */
export const VALUES_MAGIC = 0xffffff;
/** First four bytes of a patch, −1. */
export const PATCH_MAGIC = 0xffffffff;

/** Bytes of `count` 32-bit numbers in the machine's own order. */
function words(bytes: Uint8Array<ArrayBuffer>, at: number, count: number): ArrayBuffer {
  const own = bytes.slice(at, at + 4 * count);
  swapBytes(own, 4);
  return own.buffer;
}

/** Two or three big-endian whole numbers at a place that must lie in the file. */
function counts(
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
  { n, cannot }: { readonly n: number; readonly cannot: string },
): number[] {
  if (at + 4 * n > bytes.length) {
    throw new InputError(`${cannot} it ends after ${bytes.length} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: n }, (_, i) => view.getInt32(at + 4 * i));
}

function requireBytes(bytes: Uint8Array, needed: number, what: string): void {
  if (needed > bytes.length) {
    throw new InputError(`${what} need ${needed} bytes, the file has ${bytes.length}`);
  }
}

/** Three numbers of a line of the footer, `xras = -1 0 0`. */
function footerNumbers(footer: string, name: string): number[] | undefined {
  const text = new RegExp(`^${name}\\s*=(.*)$`, "m").exec(footer)?.[1];
  const numbers = text?.trim().split(/\s+/).map(Number) ?? [];
  return numbers.length === 3 && numbers.every(Number.isFinite) ? numbers : undefined;
}

/**
 * The affine matrix, [4, 4], from a surface's own coordinates to the scanner's, by the geometry of the volume it was made from:
 * own coordinates have their origin in that volume's centre and axes along −x, +z, −y of the scan (tkregister's convention), so
 * scanner = D · D_tkrᵀ · own + c_ras with the volume's direction cosines as columns of D.
 */
function scannerMatrix(footer: string): number[] | undefined {
  const axes = ["xras", "yras", "zras", "cras"].map((name) => footerNumbers(footer, name));
  // A binary tag stands before it on its line.
  if (!/\bvalid\s*=\s*1\b/.test(footer)) return undefined;
  const [x, y, z, centre] = axes;
  if (!x || !y || !z || !centre) return undefined;
  // D_tkr has the columns (−1,0,0), (0,0,−1), (0,1,0), so D · D_tkrᵀ has the columns −x, z, −y.
  return [0, 1, 2].flatMap((row) => [-x[row], z[row], -y[row], centre[row]]);
}

/**
 * A triangle surface: `lh.white`, `lh.pial`, `lh.inflated`.
 *
 * @param space `scanner` moves the vertices by the geometry at the end of the file; `stored` leaves them
 * @throws {InputError} when the file is cut off or damaged, or has no geometry for `scanner`
 */
export function parseTriangles(
  bytes: Uint8Array<ArrayBuffer>,
  { cannot, space }: { readonly cannot: string; readonly space: "stored" | "scanner" },
): Surface {
  // A line of text, then an empty one.
  const line = bytes.indexOf(10, 3);
  const next = line < 0 ? -1 : bytes.indexOf(10, line + 1);
  if (next < 0) throw new InputError(`${cannot} the line that says who made it does not end`);
  const [nVertices, nFaces] = counts(bytes, next + 1, { n: 2, cannot });
  const start = next + 9;
  if (nVertices < 1 || nFaces < 0) {
    throw new InputError(`${cannot} it claims ${nVertices} vertices and ${nFaces} faces`);
  }
  const end = start + 12 * (nVertices + nFaces);
  requireBytes(bytes, end, `${cannot} ${nVertices} vertices and ${nFaces} faces`);
  const surface = {
    vertices: new Float32Array(words(bytes, start, 3 * nVertices)),
    // A negative number becomes one above every count, which the check refuses.
    faces: new Uint32Array(words(bytes, start + 12 * nVertices, 3 * nFaces)),
  };
  checkSurface(surface, cannot);
  if (space === "stored") return surface;
  const matrix = scannerMatrix(new TextDecoder().decode(bytes.subarray(end)));
  if (!matrix) {
    throw new InputError(
      `${cannot} scanner coordinates need the geometry of its volume, which it does not end with`,
    );
  }
  return { ...surface, vertices: transformPoints(surface.vertices, matrix) };
}

/**
 * A patch, `lh.cortex.patch.3d` or `lh.full.flat.patch.3d`: some vertices of a surface with coordinates of their own. A vertex is
 * stored as its number plus 1, and as minus that on the border; faces are those of the full surface between its vertices.
 *
 * @throws {InputError} when the file is cut off or damaged, or the surface is not its own
 */
export function parsePatch(
  bytes: Uint8Array<ArrayBuffer>,
  full: Surface,
  cannot: string,
): Surface {
  const [, n] = counts(bytes, 0, { n: 2, cannot });
  if (n < 1) throw new InputError(`${cannot} it claims ${n} vertices`);
  requireBytes(bytes, 8 + 16 * n, `${cannot} ${n} vertices`);
  const buffer = words(bytes, 8, 4 * n);
  const [codes, numbers] = [new Int32Array(buffer), new Float32Array(buffer)];
  const nFull = full.vertices.length / 3;
  const place = new Map<number, number>();
  const vertices = new Float32Array(3 * n);
  const vertexIndex = new Uint32Array(n);
  const isBorder = new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    const code = codes[4 * i];
    const vertex = Math.abs(code) - 1;
    if (vertex < 0 || vertex >= nFull || place.has(vertex)) {
      throw new InputError(
        `${cannot} each of its vertices must be another one of the ${nFull} of the surface, entry ${i} is ${code}`,
      );
    }
    place.set(vertex, i);
    vertexIndex[i] = vertex;
    isBorder[i] = code < 0 ? 1 : 0;
    vertices.set(numbers.subarray(4 * i + 1, 4 * i + 4), 3 * i);
  }
  const faces: number[] = [];
  for (let at = 0; at < full.faces.length; at += 3) {
    const a = place.get(full.faces[at]);
    const b = place.get(full.faces[at + 1]);
    const c = place.get(full.faces[at + 2]);
    if (a !== undefined && b !== undefined && c !== undefined) faces.push(a, b, c);
  }
  const patch = { vertices, faces: Uint32Array.from(faces), vertexIndex, isBorder };
  checkSurface(patch, cannot);
  return patch;
}

/**
 * One value per vertex: `lh.curv`, `lh.sulc`, `lh.thickness`, in the format that begins with 0xFFFFFF.
 *
 * @throws {InputError} when the file is cut off or has more than one value per vertex
 */
export function parseVertexValues(
  bytes: Uint8Array<ArrayBuffer>,
  cannot: string,
): Float32Array<ArrayBuffer> {
  const [n, , perVertex] = counts(bytes, 3, { n: 3, cannot });
  if (n < 1 || perVertex !== 1) {
    throw new InputError(
      `${cannot} it needs one value for each vertex, it claims ${perVertex} for ${n}`,
    );
  }
  requireBytes(bytes, 15 + 4 * n, `${cannot} ${n} values`);
  return new Float32Array(words(bytes, 15, n));
}
