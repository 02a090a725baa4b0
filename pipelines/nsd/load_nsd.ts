/** Reads responses from the Natural Scenes Dataset as it lies on disk: z-scored per session, repeats averaged. */

import { RepeatAverager, zscoreSession } from "../encoding/betas.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import { type NsdDesign, readNsdDesign } from "./design.ts";
import { BETAS, TRIALS_PER_SESSION } from "./names.ts";
import { countTrials, readSession } from "./session.ts";
import { type NsdVoxelOptions, type NsdVoxels, selectNsdVoxels, sessionFiles } from "./voxels.ts";

/** Which part of the data set to read. */
export interface LoadNsdOptions extends NsdVoxelOptions {
  /** Sessions to read, counted from 1, or the first so many; all that are there when left out. */
  readonly sessions?: number | readonly number[];
  /** Called with the stage, how much of it is done, and how much there is. */
  readonly onProgress?: (progress: { stage: string; done: number; total: number }) => void;
  /** Stops the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** One subject's responses. */
export interface NsdResponses extends NsdVoxels {
  /** NSD ids (rows of `imgBrick`, from 0) of the images seen, ascending, [nImages]. */
  readonly nsdIds: Uint32Array<ArrayBuffer>;
  /** Number of trials behind each row, [nImages]. */
  readonly nRepeats: Uint16Array<ArrayBuffer>;
  /** 1 for images that all subjects were to see, [nImages]. */
  readonly shared: Uint8Array<ArrayBuffer>;
  /** Responses, [nImages, nVoxels]. */
  readonly responses: Float32Array<ArrayBuffer>;
}

/** One session's file and the trials that it holds. */
interface Session {
  readonly path: string;
  readonly nTrials: number;
  readonly start: number;
}

/** Numbers of the sessions to read, ascending. */
function wantedSessions(
  sessions: LoadNsdOptions["sessions"],
  files: ReadonlyMap<number, string>,
): number[] {
  const all = [...files.keys()].sort((a, b) => a - b);
  const list = typeof sessions === "number"
    ? Array.from({ length: sessions }, (_, s) => s + 1)
    : [...new Set(sessions ?? all)].sort((a, b) => a - b);
  const missing = list.find((session) => !files.has(session));
  if (missing === undefined && list.length > 0) return list;
  const [first] = files.values();
  throw new InputError(
    list.length === 0
      ? `Cannot read no sessions: ${quote(first.slice(0, first.lastIndexOf("/")))} has ${
        all.join(", ")
      }`
      : `Cannot read session ${missing}: ${quote(first.slice(0, first.lastIndexOf("/")))} has ${
        all.join(", ")
      }`,
  );
}

/** First trial of a session in the design; `next` is the trial after the session read before. */
function firstTrial(
  path: string,
  { session, nTrials, given, follows, next }: {
    session: number;
    nTrials: number;
    given: readonly number[] | undefined;
    /** Whether all sessions before it are read too. */
    follows: boolean;
    next: number;
  },
): number {
  const cannot = `Cannot use ${quote(path)}:`;
  if (given) {
    if (given[session - 1] === nTrials) {
      return given.slice(0, session - 1).reduce((sum, n) => sum + n, 0);
    }
    const stated = given[session - 1] ?? "no such session";
    throw new InputError(`${cannot} it has ${nTrials} trials, the design has ${stated}`);
  }
  if (follows) return next;
  // Sessions of NSD all have as many trials, so that later ones are found without the earlier ones.
  if (nTrials === TRIALS_PER_SESSION) return (session - 1) * TRIALS_PER_SESSION;
  throw new InputError(
    `${cannot} which trials it holds is not known, as the sessions before ${session} are not all read ` +
      `and it has ${nTrials} trials instead of ${TRIALS_PER_SESSION}`,
  );
}

/** The sessions to read, each with its first trial in the design. */
async function findSessions(
  files: ReadonlyMap<number, string>,
  wanted: LoadNsdOptions["sessions"],
  { voxels, design }: { voxels: NsdVoxels; design: NsdDesign },
): Promise<Session[]> {
  const found: Session[] = [];
  let next = 0;
  for (const [i, session] of wantedSessions(wanted, files).entries()) {
    const path = files.get(session)!;
    const nTrials = await countTrials(path, voxels);
    const { trialsPerSession: given } = design;
    const start = firstTrial(path, { session, nTrials, given, follows: session === i + 1, next });
    next = start + nTrials;
    if (next > design.trialNsdId.length) {
      throw new InputError(
        `Cannot use ${
          quote(path)
        }: it ends at trial ${next}, the design has ${design.trialNsdId.length}`,
      );
    }
    found.push({ path, nTrials, start });
  }
  return found;
}

/** NSD ids of a session's trials. */
function imagesOf({ path, nTrials, start }: Session, { trialNsdId }: NsdDesign): Int32Array {
  const ids = trialNsdId.subarray(start, start + nTrials);
  const unknown = ids.indexOf(-1);
  if (unknown >= 0) {
    throw new InputError(
      `Cannot use ${quote(path)}: the design does not say what its trial ${unknown + 1} showed`,
    );
  }
  return ids;
}

function newAverager(nImages: number, nVoxels: number): RepeatAverager {
  try {
    return new RepeatAverager(nImages, nVoxels);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new InputError(
      `Cannot hold the responses of ${nVoxels} voxels to ${nImages} images in memory: choose fewer voxels`,
      { cause },
    );
  }
}

/**
 * Reads a subject: each session's betas are z-scored per voxel, then the trials of an image averaged, over as many repeats as the
 * sessions have. Formats and files: `readSession`, `selectNsdVoxels`, `readNsdDesign`.
 *
 * One session of the chosen voxels is in memory beside the result.
 *
 * @param root the folder that holds `nsddata` and `nsddata_betas`
 * @param subject counted from 1
 * @throws {InputError} when a file is missing, damaged, or does not agree with the others
 */
export async function loadNsd(
  root: string,
  subject: number,
  { sessions: wanted, onProgress, signal, ...options }: LoadNsdOptions = {},
): Promise<NsdResponses> {
  const { betas = BETAS } = options;
  const voxels = await selectNsdVoxels(root, subject, options);
  const design = await readNsdDesign(root, subject);
  const files = sessionFiles(root, subject, betas);
  const sessions = await findSessions(files, wanted, { voxels, design });
  const shown = new Set(sessions.flatMap((session) => [...imagesOf(session, design)]));
  const nsdIds = Uint32Array.from(shown).sort();
  const row = new Map(Array.from(nsdIds, (id, i) => [id, i]));
  const repeats = newAverager(nsdIds.length, voxels.volumeIndex.length);
  for (const [i, session] of sessions.entries()) {
    signal?.throwIfAborted();
    const { data, shape: [, nVoxels] } = await readSession(session.path, voxels);
    const rows = Array.from(imagesOf(session, design), (id) => row.get(id)!);
    repeats.add(zscoreSession(data, nVoxels), rows);
    onProgress?.({ stage: "sessions", done: i + 1, total: sessions.length });
  }
  return {
    ...voxels,
    nsdIds,
    nRepeats: repeats.counts.slice(),
    shared: Uint8Array.from(nsdIds, (id) => Number(design.shared.has(id))),
    responses: repeats.finish(),
  };
}
