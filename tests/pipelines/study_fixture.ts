/**
 * A small study that was never run: results made up here, written by the library's own writers.
 *
 * @module
 */
import { normal, randomKey, uniform } from "../../engine/random.ts";
import { roiFits } from "../../pipelines/brain_sail/encoders.ts";
import { mapScoreNames } from "../../pipelines/brain_sail/evaluate.ts";
import {
  LocalizationScores,
  mapMethods,
  type RegionLocalization,
} from "../../pipelines/brain_sail/localization.ts";
import { imageProperties } from "../../pipelines/brain_sail/map_pass.ts";
import {
  type BackboneResults,
  backboneResults,
  compareAll,
  type StudyResults,
  writeResults,
} from "../../pipelines/brain_sail/results.ts";
import type { BackboneResult, OwnerResult } from "../../pipelines/brain_sail/run_backbone.ts";
import {
  type CortexPlaces,
  NO_TRUTH,
  type Study,
  type StudySubject,
} from "../../pipelines/brain_sail/study.ts";
import { MapFiles, readMaps, writeBackbone } from "../../pipelines/brain_sail/study_files.ts";
import { Encoder } from "../../pipelines/encoding/encoder.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import type { EncodingModel } from "../../pipelines/encoding/linear_model.ts";
import { savePng } from "../../pipelines/io/png.ts";

/** A name that a user may choose, and that may be a file's. */
export const EVIL = `<script>alert("1" & '2')`;

const GRID = [4, 4] as const;
const AREA = 16;
const N_IMAGES = 3;
const N_VOXELS = 8;
const ROIS = [
  { name: "FFA", voxels: [0, 1, 2] },
  { name: "PPA", voxels: [3, 4] },
  { name: `${EVIL}</script>`, voxels: [5, 6] },
];

/** Where the voxels of a subject lie. */
export const flatPlaces: CortexPlaces = {
  flat: Float32Array.from({ length: 2 * N_VOXELS }, (_, i) => i % 2 === 0 ? (i >> 1) % 4 : i >> 3),
  hemisphere: Uint8Array.from({ length: N_VOXELS }, (_, v) => v >> 2),
};
/** The same in a volume of 2 x 2 x 3. */
export const volumePlaces: CortexPlaces = {
  volume: { volumeIndex: Uint32Array.from([0, 1, 3, 4, 6, 7, 9, 10]), volumeShape: [2, 2, 3] },
};

const values = (seed: number, n: number): Float64Array<ArrayBuffer> =>
  Float64Array.from(uniform(randomKey(seed), n));

function subjectOf(name: string, places: CortexPlaces): StudySubject {
  const rows = (start: number, n: number) => Uint32Array.from({ length: n }, (_, i) => start + i);
  const responses = (n: number) => hostMatrix(new Float32Array(n * N_VOXELS), [n, N_VOXELS]);
  return {
    name,
    trainRows: rows(N_IMAGES, 5),
    train: responses(5),
    testRows: rows(0, N_IMAGES),
    test: responses(N_IMAGES),
    noiseCeiling: Float32Array.from({ length: N_VOXELS }, (_, v) => v === 7 ? 0 : 0.5 + v / 20),
    rois: ROIS,
    places,
  };
}

function studyOf(names: readonly string[], places: CortexPlaces): Study {
  const images = ["one", EVIL, "three", ...Array.from({ length: 5 }, (_, i) => `train${i}`)];
  return {
    images: {
      names: images,
      files: [],
      read: (i) => ({
        height: 8,
        width: 8,
        data: Uint8Array.from(values(100 + i, 8 * 8 * 3), (value) => 255 * value),
      }),
    },
    subjects: names.map((name) => subjectOf(name, places)),
    mappedRows: Uint32Array.of(0, 1, 2),
    truth: NO_TRUTH,
    [Symbol.dispose]: () => {},
  };
}

/** A made-up encoder: the report reads nothing of it. */
function encoderOf(seed: number): Encoder {
  const coef = hostMatrix(Float32Array.from(normal(randomKey(seed), 2 * N_VOXELS)), [2, N_VOXELS]);
  const model = { coef, intercept: new Float32Array(N_VOXELS), nFeatures: 2, nTargets: N_VOXELS };
  return new Encoder({
    model: model as unknown as EncodingModel,
    normalizer: { kind: "l2" },
    solver: "ridge",
    details: { bestAlphas: values(seed, N_VOXELS) },
    options: {},
  });
}

/** Scores of made-up maps. */
function localizationOf(
  seed: number,
  { isControl, hasMasks }: { readonly isControl: boolean; readonly hasMasks: boolean },
): RegionLocalization[] {
  const judged = hasMasks ? [["FFA", "face"], ["PPA", "place"]] : [];
  const nShuffles = isControl ? 0 : 3;
  const scores = new LocalizationScores(
    judged.map(([name, category]) => ({ name, category })),
    N_IMAGES,
    nShuffles,
  );
  let draw = seed;
  const score = () =>
    Object.fromEntries(
      mapScoreNames.map((name) => [name, values(draw++, 1)[0]]),
    ) as Record<(typeof mapScoreNames)[number], number>;
  judged.forEach((_, r) => {
    for (let image = 0; image < N_IMAGES; image++) {
      for (const method of mapMethods) scores.add(image, r, method, score());
      for (let b = 0; b < nShuffles; b++) scores.addShuffled(image, r, b, score());
    }
  });
  return scores.table({ key: randomKey(seed), nResamples: 50 });
}

function ownerOf(
  subject: StudySubject,
  { seed, isControl, hasText, hasMasks }: {
    readonly seed: number;
    readonly isControl: boolean;
    readonly hasText: boolean;
    readonly hasMasks: boolean;
  },
): OwnerResult {
  const r2 = values(seed, N_VOXELS).map((value) => isControl ? value / 10 - 0.1 : value);
  const qPredicted = values(seed + 3, N_VOXELS).map((value) => value / 10);
  const all = imageProperties.length * N_VOXELS;
  const q = values(seed + 2, all).map((value) => value / 8);
  for (let p = 0; p < imageProperties.length; p++) q[(p + 1) * N_VOXELS - 1] = NaN;
  return {
    subject,
    isControl,
    fit: {
      encoder: encoderOf(seed),
      responses: subject.train,
      r2,
      qPredicted,
      rois: roiFits(subject.rois, r2, subject.noiseCeiling, qPredicted),
    },
    localization: localizationOf(seed, { isControl, hasMasks }),
    top: ROIS.map(({ name }, r) => ({
      name,
      images: Uint32Array.of(r, (r + 1) % N_IMAGES),
      scores: Float64Array.of(1.5 - r / 4, 0.25),
    })),
    confusion: hasText
      ? {
        categories: ["face", "scene", EVIL],
        counts: Uint32Array.from(
          isControl ? [0, 1, 1, 1, 0, 1, 2, 0, 0] : [2, 0, 0, 0, 1, 1, 0, 0, 2],
        ),
      }
      : undefined,
    correlates: {
      r: values(seed + 1, all).map((value) => 2 * value - 1),
      pooled: values(seed + 1, all),
      nImages: new Uint32Array(imageProperties.length).fill(N_IMAGES),
      test: { pValues: q, qValues: q, signs: Int8Array.from(q, (_, i) => i % 2 === 0 ? 1 : -1) },
    },
  };
}

function backboneOf(
  study: Study,
  { name, seed, hasText, hasMasks, hasControls }: {
    readonly name: string;
    readonly seed: number;
    readonly hasText: boolean;
    readonly hasMasks: boolean;
    readonly hasControls: boolean;
  },
): BackboneResult {
  const owners = [false, ...(hasControls ? [true] : [])].flatMap((isControl) =>
    study.subjects.map((subject, s) =>
      ownerOf(subject, { seed: seed + 10 * s + (isControl ? 5 : 0), isControl, hasText, hasMasks })
    )
  );
  const bytes = (own: number, n: number) => Uint8Array.from(values(own, n), (value) => 255 * value);
  return {
    name,
    family: "clip",
    grid: GRID,
    tokens: hostMatrix(new Float32Array(16), [8, 2]),
    owners,
    shown: [0, 1],
    colors: {
      voxels: study.subjects.map((_, s) => bytes(seed + s, 3 * N_VOXELS)),
      images: new Map([0, 1].map((image) => [image, bytes(seed + image, 3 * AREA)])),
    },
  };
}

/** What a study has. */
export interface FixtureOptions {
  /** Where voxels lie. */
  readonly places?: CortexPlaces;
  /** Names of the subjects. */
  readonly subjects?: readonly string[];
  /** Names of the backbones; the first alone has captions. */
  readonly backbones?: readonly string[];
  /** Whether there are masks. */
  readonly hasMasks?: boolean;
  /** Whether the control was run. */
  readonly hasControls?: boolean;
  /** Further settings. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** Writes a study's folder and gives its results. */
export async function writeStudy(
  folder: string,
  {
    places = flatPlaces,
    subjects = ["subj01", EVIL],
    backbones = ["clip", EVIL],
    hasMasks = true,
    hasControls = true,
    settings = {},
  }: FixtureOptions = {},
): Promise<StudyResults> {
  using study = studyOf(subjects, places);
  const all: BackboneResults[] = [];
  for (const [b, name] of backbones.entries()) {
    const seed = 1000 * (b + 1);
    const result = backboneOf(study, { name, seed, hasText: b === 0, hasMasks, hasControls });
    using files = await MapFiles.create(folder, name, { study, grid: [...GRID] });
    result.owners.forEach((owner, o) => {
      for (let image = 0; image < N_IMAGES; image++) {
        const map = (at: number) => Float32Array.from(values(seed + 100 * o + 10 * image + at, 48));
        void files.sink(owner, { image, distilled: map(0), plain: map(1) });
      }
    });
    files.commit();
    await writeBackbone(folder, result);
    const own = {
      name,
      size: "64",
      dense: { dense: "naclip", gaussianStd: 10 },
      nAugmentations: 5,
    };
    all.push(
      await backboneResults(result, study, {
        settings: { ...own, encoderSize: { height: 64, width: 64 } },
        maps: (subject) => readMaps(folder, name, subject),
      }),
    );
  }
  const names = Array.from(study.mappedRows, (row) => study.images.names[row]);
  const results: StudyResults = {
    format: "gyrus brain_sail 1",
    settings: { minR2: 0.05, nShown: 12, ...settings },
    mapped: names,
    shown: names.slice(0, 2),
    subjects: study.subjects.map(({ name }) => ({ name, nVoxels: 8, nTrain: 5, nTest: 3 })),
    backbones: all,
    comparisons: await compareAll(backbones, study, (b, s) => readMaps(folder, b, s)),
  };
  Deno.mkdirSync(`${folder}/images`);
  for (const i of [0, 1]) savePng(`${folder}/images/${names[i]}.png`, study.images.read(i));
  Deno.writeTextFileSync(`${folder}/results.json`, writeResults(results));
  const record = JSON.stringify({ options: { seed: 3 }, adapter: "a test" });
  Deno.writeTextFileSync(`${folder}/run.json`, record);
  return results;
}
