/** Which image each trial of a subject showed. */

import { InputError } from "../errors.ts";
import { type MatArray, readMat } from "../io/mat.ts";
import { isJsonObject, parseJsonObject, quote } from "../io/strict_json.ts";
import { nsdPaths } from "./names.ts";
import { isThere, readBytes } from "./read_file.ts";
import { readStimulusInfo } from "./stimulus_info.ts";

/** The experiment of one subject. */
export interface NsdDesign {
  /** NSD id (from 0) of the image of each trial, or −1 where it is not known, [nTrials]. */
  readonly trialNsdId: Int32Array<ArrayBuffer>;
  /** NSD ids of the images that all subjects were to see. */
  readonly shared: ReadonlySet<number>;
  /** Trials of each session, where the file says it. */
  readonly trialsPerSession: readonly number[] | undefined;
}

/** The fields of `nsd_expdesign.mat`, whose numbers all count from 1. */
interface Fields {
  readonly masterordering: ArrayLike<number>;
  /** The subject's own row. */
  readonly subjectim: ArrayLike<number>;
  readonly sharedix: ArrayLike<number>;
  readonly trialspersession?: ArrayLike<number>;
}

function requireCounts(values: ArrayLike<number>, name: string, cannot: string): number[] {
  return Array.from(values, (value, i) => {
    if (Number.isSafeInteger(value) && value >= 1 && value < 2 ** 31) return value;
    throw new InputError(
      `${cannot}: "${name}" must be whole numbers from 1, element ${i} (counted from 0) is ${value}`,
    );
  });
}

function designOf(fields: Fields, cannot: string): NsdDesign {
  const images = requireCounts(fields.subjectim, "subjectim", cannot);
  const order = requireCounts(fields.masterordering, "masterordering", cannot);
  const trialNsdId = Int32Array.from(order, (index) => {
    if (index > images.length) {
      throw new InputError(`${cannot}: a trial shows image ${index} of ${images.length}`);
    }
    return images[index - 1] - 1;
  });
  const shared = requireCounts(fields.sharedix, "sharedix", cannot).map((id) => id - 1);
  const sessions = fields.trialspersession &&
    requireCounts(fields.trialspersession, "trialspersession", cannot);
  return { trialNsdId, shared: new Set(shared), trialsPerSession: sessions };
}

function noSubject(cannot: string, n: number, subject: number): InputError {
  return new InputError(`${cannot}: it has ${n} subjects, subject ${subject} was asked for`);
}

/** Trials of each session by `stimpattern` [sessions, runs, trials], which is 1 where a trial showed an image. */
function sessionsOf(pattern: MatArray | undefined, nTrials: number): number[] | undefined {
  if (!pattern || pattern.shape.length !== 3) return undefined;
  const [n, runs, trials] = pattern.shape;
  const counts = Array.from({ length: n }, (_, s) => {
    const own = pattern.data.subarray(s * runs * trials, (s + 1) * runs * trials);
    return own.reduce((sum, value) => sum + Number(value > 0), 0);
  });
  const total = counts.reduce((sum, count) => sum + count, 0);
  return total === nTrials && counts.every((count) => count > 0) ? counts : undefined;
}

async function fromMat(path: string, subject: number): Promise<NsdDesign> {
  const cannot = `Cannot read the design ${quote(path)}`;
  const arrays = readMat(await readBytes(path), { source: path });
  const named = (name: string): MatArray => {
    const array = arrays.get(name);
    if (array) return array;
    throw new InputError(
      `${cannot}: it has no numbers ${quote(name)}; it has ${
        [...arrays.keys()].join(", ") || "none"
      }`,
    );
  };
  const { shape: [nSubjects, nImages], data } = named("subjectim");
  if (!(subject <= nSubjects)) throw noSubject(cannot, nSubjects, subject);
  const masterordering = named("masterordering").data;
  return designOf({
    masterordering,
    subjectim: data.subarray((subject - 1) * nImages, subject * nImages),
    sharedix: named("sharedix").data,
    trialspersession: arrays.get("trialspersession")?.data ??
      sessionsOf(arrays.get("stimpattern"), masterordering.length),
  }, cannot);
}

async function fromJson(path: string, subject: number): Promise<NsdDesign> {
  const cannot = `Cannot read the design ${quote(path)}`;
  const json = parseJsonObject(await readBytes(path), cannot);
  const list = (value: unknown, name: string): number[] => {
    if (Array.isArray(value)) return value;
    throw new InputError(`${cannot}: "${name}" must be whole numbers from 1`);
  };
  const rows = list(json.subjectim, "subjectim");
  const row: unknown = rows[subject - 1];
  if (row === undefined || isJsonObject(row)) throw noSubject(cannot, rows.length, subject);
  const { trialspersession: sessions } = json;
  return designOf({
    masterordering: list(json.masterordering, "masterordering"),
    subjectim: list(row, "subjectim"),
    sharedix: list(json.sharedix, "sharedix"),
    ...(sessions === undefined ? {} : { trialspersession: list(sessions, "trialspersession") }),
  }, cannot);
}

async function fromTable(path: string, subject: number): Promise<NsdDesign> {
  const cannot = `Cannot read the design ${quote(path)}`;
  const { nsdId, shared1000, trials } = await readStimulusInfo(path);
  const own = trials.get(subject);
  if (!own) throw noSubject(cannot, trials.size, subject);
  const repeats = own.length / nsdId.length;
  const nTrials = own.reduce((most, trial) => Math.max(most, trial), 0);
  if (nTrials > own.length) {
    throw new InputError(
      `${cannot}: it names trial ${nTrials}, and ${own.length} trials at most can stand in it`,
    );
  }
  const trialNsdId = new Int32Array(nTrials).fill(-1);
  own.forEach((trial, i) => {
    if (trial === 0) return;
    const id = nsdId[Math.floor(i / repeats)];
    if (trialNsdId[trial - 1] >= 0) {
      throw new InputError(
        `${cannot}: trial ${trial} shows the images ${trialNsdId[trial - 1]} and ${id}`,
      );
    }
    trialNsdId[trial - 1] = id;
  });
  const shared = new Set(nsdId.filter((_, i) => shared1000[i] === 1));
  return { trialNsdId, shared, trialsPerSession: undefined };
}

/**
 * Reads the design of a subject from the first of these files that is there, in `nsddata/experiments/nsd`: `nsd_expdesign.mat`
 * (`masterordering`, `subjectim`, `sharedix`), the same fields as `nsd_expdesign.json`, or `nsd_stim_info_merged.csv`. NSD id of trial t
 * of subject s, all counted from 0: `subjectim[s][masterordering[t] − 1] − 1`.
 *
 * @param root the folder that holds `nsddata`
 * @param subject counted from 1
 * @throws {InputError} when none is there, it is damaged, or does not have the subject
 */
export async function readNsdDesign(root: string, subject: number): Promise<NsdDesign> {
  if (!Number.isInteger(subject) || subject < 1) {
    throw new InputError(`Cannot read a design: subjects count from 1, got ${subject}`);
  }
  const mat = `${root}/${nsdPaths.design}.mat`;
  if (isThere(mat)) return await fromMat(mat, subject);
  const json = `${root}/${nsdPaths.design}.json`;
  if (isThere(json)) return await fromJson(json, subject);
  const table = `${root}/${nsdPaths.stimulusInfo}`;
  if (isThere(table)) return await fromTable(table, subject);
  throw new InputError(
    `Cannot read the design: there is no ${quote(mat)}, nor a .json beside it, nor ${quote(table)}`,
  );
}
