/**
 * Surfaces and anatomy that a report draws on, from the settings of its figures.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { Hemisphere } from "../images/surface_view.ts";
import { pickVertices, type Surface } from "../io/mesh.ts";
import { NiftiFile } from "../io/nifti_file.ts";
import { hostArray } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { readSurface } from "../io/surface.ts";
import { nsdPaths } from "../nsd/names.ts";
import { isThere, readVolume } from "../nsd/read_file.ts";
import { readNsdCoordinates } from "../nsd/surface_coordinates.ts";
import type { CortexDrawing, PaintedSurface } from "./cortex_painter.ts";
import type { CortexPlaces } from "./study.ts";
import type { Settings } from "./study_settings.ts";

/** A path of the settings for one subject, whose name stands for `{subject}` in it. */
function pathFor(settings: Settings, key: string, subject: string): string | undefined {
  const path = settings[key] as string | undefined;
  return path?.replaceAll("{subject}", subject);
}

/** The volume whose matrix places the voxels: the one that is named, else that of NSD's noise. */
function volumePath(settings: Settings, subject: string): string | undefined {
  const named = pathFor(settings, "volume", subject);
  const number = /^subj0([1-8])$/.exec(subject);
  if (named !== undefined || typeof settings.nsd !== "string" || !number) return named;
  const path = `${settings.nsd}/${nsdPaths.betas(Number(number[1]))}/ncsnr.nii.gz`;
  return isThere(path) ? path : undefined;
}

/** A surface whose vertices have the scanner's coordinates; those of the file where it says nothing of a scanner. */
async function readPoints(path: string): Promise<Surface> {
  try {
    return await readSurface(path, { space: "scanner" });
  } catch (cause) {
    if (!(cause instanceof InputError)) throw cause;
    // Says what is wrong where that was not the reason.
    return await readSurface(path);
  }
}

/** Where the vertices of a full surface lie among the voxels. */
async function readSample(
  path: string,
  affine: readonly number[] | undefined,
): Promise<Pick<PaintedSurface, "points" | "affine"> & { readonly full?: Surface }> {
  if (/\.mg[hz]$/.test(path)) return { points: await readNsdCoordinates(path) };
  const full = await readPoints(path);
  if (affine) return { points: full.vertices, affine, full };
  throw new InputError(
    `Cannot draw on ${
      quote(path)
    }: its coordinates are millimetres, so "volume" must name a NIfTI file of the voxels' grid`,
  );
}

/** One hemisphere's surface, with the voxels under it. */
async function readHemisphere(
  settings: Settings,
  subject: string,
  { hemisphere, affine }: {
    readonly hemisphere: Hemisphere;
    readonly affine: readonly number[] | undefined;
  },
): Promise<PaintedSurface | undefined> {
  const side = hemisphere === "left" ? "lh" : "rh";
  const path = pathFor(settings, `${side}Surface`, subject);
  if (path === undefined) return undefined;
  const { full, ...sample } = await readSample(
    pathFor(settings, `${side}Sample`, subject) ?? path,
    affine,
  );
  const fullPath = pathFor(settings, `${side}Full`, subject);
  const surface = await readSurface(path, {
    full: fullPath === undefined ? full : await readSurface(fullPath),
  });
  const points = surface.vertexIndex ? pickVertices(sample.points, surface, 3) : sample.points;
  if (points.length !== surface.vertices.length) {
    throw new InputError(
      `Cannot draw on ${quote(path)}: it has ${surface.vertices.length / 3} vertices, and ${
        points.length / 3
      } have a place among the voxels`,
    );
  }
  return { surface, hemisphere, points, affine: sample.affine };
}

/**
 * Reads what a subject's voxels are drawn on. `{subject}` in a path is the subject's name.
 *
 * @throws {InputError} when a file cannot be read, or does not suit the voxels
 */
export async function readDrawing(
  settings: Settings,
  subject: string,
  { volume }: CortexPlaces,
): Promise<CortexDrawing> {
  const named = ["lhSurface", "rhSurface", "anatomy"].find((key) => settings[key] !== undefined);
  if (!volume) {
    if (named === undefined) return {};
    throw new InputError(
      `Cannot draw on ${
        quote(settings[named])
      }: the study does not say where the voxels of ${subject} lie in a volume`,
    );
  }
  const { volumeShape } = volume;
  const path = volumePath(settings, subject);
  const affine = path === undefined ? undefined : await affineOf(path, volumeShape);
  const surfaces: PaintedSurface[] = [];
  for (const hemisphere of ["left", "right"] as const) {
    const one = await readHemisphere(settings, subject, { hemisphere, affine });
    if (one) surfaces.push(one);
  }
  const anatomy = pathFor(settings, "anatomy", subject);
  return {
    surfaces,
    affine,
    anatomy: anatomy === undefined
      ? undefined
      : Float32Array.from(hostArray(await readVolume(anatomy, volumeShape)), Number),
  };
}

/** The matrix of a NIfTI file, whose grid must be that of the voxels. */
async function affineOf(
  path: string,
  volumeShape: readonly number[],
): Promise<readonly number[]> {
  const { header: { shape, affine } } = await NiftiFile.open(path);
  if (shape.slice(-3).join() === volumeShape.join()) return affine;
  throw new InputError(
    `Cannot use ${
      quote(path)
    }: its volume must be [${volumeShape}] as the voxels' own, it is [${shape}]`,
  );
}
