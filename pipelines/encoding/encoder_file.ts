import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { requireFinite } from "../io/checks.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { toFloat32, toFloat64 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { Encoder } from "./encoder.ts";
import { FittedGroupRidge } from "./fitted_group_ridge.ts";
import { RidgeModel } from "./fitted_ridge.ts";
import { type HostMatrix, hostMatrix } from "./host_matrix.ts";
import { type EncodingModel, LinearModel } from "./linear_model.ts";
import { parseRecipe } from "./feature_recipe.ts";
import type { FeatureNormalizer, Normalization } from "./normalize.ts";

const FORMAT = "gyrus encoder 2";
const SOLVERS = ["ridge", "probe"] as const;
const NORMALIZATIONS: readonly Normalization[] = ["l2", "zscore", "none"];
const ROWS_AT_ONCE = 256;

/** Datasets of an encoder by the names of its parts, and what himalaya calls them. */
const DATASETS: Readonly<Record<string, { name: string; himalaya?: string }>> = {
  alphas: { name: "alphas", himalaya: "alphas" },
  bestAlphas: { name: "best_alphas", himalaya: "best_alphas_" },
  cvSurface: { name: "cv_scores", himalaya: "cv_scores_" },
  cvR2: { name: "r2" },
  deltas: { name: "deltas", himalaya: "deltas_" },
  losses: { name: "losses" },
};

/**
 * Writes an encoder as HDF5.
 *
 * Of every model: `/intercept [nTargets]` in float32; `/coef [nFeatures, nTargets]` where it has coefficients of features, otherwise
 * `/dual_coef [nSamples, nTargets]` and `/x_fit [nSamples, nFeatures]`. Of a ridge regression in float64: `/alphas`, `/best_alphas
 * [nTargets]`, `/cv_scores [nAlphas, nTargets]` (of bands `[nIter, nTargets]`), `/r2 [nTargets]` (mean over the folds), `/precision
 * [nAlphas]` (text); of bands `/deltas [nBands, nTargets]`, `/gammas [nIter, nBands]`, `/best_gammas [nTargets]`, `/band_of
 * [nFeatures]`; `/delays` and `/runs_fit` of delayed features. Of a probe `/losses`. `/feature_mean` and `/feature_std` where features
 * are z-scored. Attributes `format`, `solver`, `normalization`, `fit_intercept`, `options` (JSON), and `recipe` (JSON, {@link FeatureRecipe})
 * where it is known how features were made from images; datasets carry himalaya's names.
 *
 * @throws {InputError} when the file system refuses
 */
export async function saveEncoder(
  path: string,
  encoder: Encoder,
  { inPlace = false }: { inPlace?: boolean } = {},
): Promise<void> {
  const { model, normalizer, solver, details, options, recipe } = encoder;
  using file = await Hdf5Writer.create(path, { inPlace });
  file.setAttribute("/", "format", FORMAT);
  file.setAttribute("/", "solver", solver);
  file.setAttribute("/", "normalization", normalizer.kind);
  file.setAttribute("/", "options", JSON.stringify(options));
  if (recipe) file.setAttribute("/", "recipe", JSON.stringify(recipe));
  writeVector(file, "/intercept", model.intercept);
  file.setAttribute("/intercept", "himalaya", "intercept_");
  if (model instanceof RidgeModel || model instanceof FittedGroupRidge) writeRidge(file, model);
  else if (model.coef) writeMatrix(file, "/coef", model.coef);
  for (const [part, values] of Object.entries(details)) {
    const { name, himalaya } = DATASETS[part] ?? { name: part };
    const rows = values.length / model.nTargets;
    const isTable = part === "cvSurface" || part === "deltas";
    writeVector(file, `/${name}`, values, isTable ? [rows, model.nTargets] : undefined);
    if (himalaya) file.setAttribute(`/${name}`, "himalaya", himalaya);
  }
  const { mean, std } = normalizer;
  if (mean && std) {
    writeVector(file, "/feature_mean", mean);
    writeVector(file, "/feature_std", std);
  }
  file.commit();
}

function writeRidge(file: Hdf5Writer, model: RidgeModel | FittedGroupRidge): void {
  const { coef, dualCoef, xFit, delays, delayOptions } = model;
  file.setAttribute("/", "fit_intercept", Number(model.fitIntercept));
  if (coef) {
    writeMatrix(file, "/coef", coef);
    file.setAttribute("/coef", "himalaya", "coef_");
  }
  if (dualCoef && xFit) {
    writeMatrix(file, "/dual_coef", dualCoef);
    file.setAttribute("/dual_coef", "himalaya", "dual_coef_");
    if (!coef) writeMatrix(file, "/x_fit", xFit);
  }
  if (delays) {
    writeVector(file, "/delays", Float64Array.from(delays));
    const { runs, acrossRuns = false } = delayOptions ?? {};
    file.setAttribute("/delays", "across_runs", Number(acrossRuns));
    if (runs && !coef) writeVector(file, "/runs_fit", Float64Array.from(runs));
  }
  if ("precisions" in model && Array.isArray(model.precisions)) {
    file.writeStrings("/precision", model.precisions);
  }
  if (!(model instanceof FittedGroupRidge)) return;
  const { gammas, bestGammas, bands } = model;
  writeVector(
    file,
    "/gammas",
    Float64Array.from(gammas.flatMap((gamma) => [...gamma])),
    [gammas.length, bands.labels.length],
  );
  writeVector(file, "/best_gammas", Float64Array.from(bestGammas));
  writeVector(file, "/bands", Float64Array.from(bands.labels));
  writeVector(file, "/band_of", Float64Array.from(bands.bandOf));
}

function writeVector(
  file: Hdf5Writer,
  name: string,
  values: Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>,
  shape: readonly number[] = [values.length],
): void {
  file.createDataset(name, { shape, dtype: values instanceof Float32Array ? "f32" : "f64" });
  file.writeRows(name, 0, values);
}

function writeMatrix(file: Hdf5Writer, name: string, { data, shape }: HostMatrix): void {
  const [rows, columns] = shape;
  file.createDataset(name, { shape, dtype: "f32" });
  for (let row = 0; row < rows; row += ROWS_AT_ONCE) {
    const end = Math.min(rows, row + ROWS_AT_ONCE);
    file.writeRows(name, row, data.slice(row * columns, end * columns));
  }
}

/**
 * Reads what {@link saveEncoder} wrote.
 *
 * @param gpu where it will predict
 * @throws {InputError} when the file is not an encoder, or its parts do not fit each other
 */
export async function loadEncoder(gpu: Gpu, path: string): Promise<Encoder> {
  using file = await Hdf5File.open(path);
  const reader = new EncoderReader(file, path);
  const { format, solver, normalization, options, recipe } = file.attributes();
  if (format !== FORMAT) {
    reader.fail(`its attribute "format" must be "${FORMAT}", it is ${quote(String(format))}`);
  }
  const known = SOLVERS.find((name) => name === solver) ??
    reader.fail(`its solver is ${quote(String(solver))}, it must be one of ${SOLVERS.join(", ")}`);
  const kind = NORMALIZATIONS.find((name) => name === normalization) ??
    reader.fail(`its normalization is ${quote(String(normalization))}`);
  const model = reader.model(gpu);
  const p = model.nFeatures;
  const normalizer: FeatureNormalizer = kind === "zscore"
    ? { kind, mean: reader.vector("/feature_mean", p), std: reader.vector("/feature_std", p) }
    : { kind };
  const details = Object.fromEntries(
    Object.entries(DATASETS).filter(([, { name }]) => reader.has(`/${name}`)).map((
      [part, { name }],
    ) => [part, toFloat64(file.read(`/${name}`))]),
  );
  return new Encoder({
    model,
    ...{ normalizer, solver: known, details, options: parseOptions(options) },
    ...(recipe === undefined ? {} : { recipe: parseRecipe(String(recipe), path, p) }),
  });
}

/** Parts of an encoder's file, checked against each other. */
class EncoderReader {
  readonly #file: Hdf5File;
  readonly #path: string;
  readonly #there: ReadonlySet<string>;

  constructor(file: Hdf5File, path: string) {
    this.#file = file;
    this.#path = path;
    this.#there = new Set(file.datasets());
  }

  has(name: string): boolean {
    return this.#there.has(name);
  }

  fail(problem: string): never {
    throw new InputError(`Cannot read the encoder ${quote(this.#path)}: ${problem}`);
  }

  vector(name: string, length?: number): Float64Array<ArrayBuffer> {
    const values = toFloat64(this.#file.read(name));
    if (length !== undefined && values.length !== length) {
      this.fail(`${name} has ${values.length} values, needs ${length}`);
    }
    requireFinite(values, { source: `${this.#path}:${name}` });
    return values;
  }

  matrix(name: string, columns?: number): HostMatrix {
    const { shape } = this.#file.info(name);
    const [rows, width] = shape;
    if (shape.length !== 2 || rows * width === 0 || (columns !== undefined && width !== columns)) {
      this.fail(`${name} is [${shape}], it must be a matrix with ${columns ?? "some"} columns`);
    }
    const data = new Float32Array(rows * width);
    for (let row = 0; row < rows; row += ROWS_AT_ONCE) {
      const end = Math.min(rows, row + ROWS_AT_ONCE);
      data.set(toFloat32(this.#file.readRows(name, row, end)), row * width);
    }
    requireFinite(data, { source: `${this.#path}:${name}`, columns: width });
    return hostMatrix(data, [rows, width]);
  }

  model(gpu: Gpu): EncodingModel {
    const intercept = toFloat32(this.#file.read("/intercept"));
    const nTargets = intercept.length;
    requireFinite(intercept, { source: `${this.#path}:/intercept` });
    const coef = this.has("/coef") ? this.matrix("/coef", nTargets) : undefined;
    const xFit = this.has("/x_fit") ? this.matrix("/x_fit") : undefined;
    const hasDual = xFit && this.has("/dual_coef");
    const dualCoef = hasDual ? this.matrix("/dual_coef", nTargets) : undefined;
    if (!coef && !dualCoef) return this.fail("it has neither /coef nor /dual_coef with /x_fit");
    if (dualCoef && xFit && dualCoef.shape[0] !== xFit.shape[0]) {
      this.fail(`/dual_coef is [${dualCoef.shape}] and /x_fit is [${xFit.shape}]`);
    }
    const delays = this.has("/delays") ? [...this.vector("/delays")] : undefined;
    const runs = this.has("/runs_fit") ? this.vector("/runs_fit", xFit?.shape[0]) : undefined;
    const acrossRuns = delays !== undefined &&
      this.#file.attributes("/delays").across_runs === 1;
    const fitIntercept = this.#file.attributes().fit_intercept === 1;
    const parts = { coef, dualCoef, xFit, intercept, fitIntercept, delays };
    const delayed = delays ? { ...parts, delayOptions: { runs, acrossRuns } } : parts;
    if (this.has("/gammas")) return this.#bands(gpu, delayed);
    if (!delays && coef) return new LinearModel(gpu, coef, intercept);
    return new RidgeModel(gpu, delayed);
  }

  #bands(
    gpu: Gpu,
    parts: ConstructorParameters<typeof RidgeModel>[1],
  ): FittedGroupRidge {
    const nTargets = parts.intercept.length;
    const labels = [...this.vector("/bands")];
    const { shape: [nIter] } = this.#file.info("/gammas");
    const all = this.vector("/gammas", nIter * labels.length);
    const bandOf = Uint32Array.from(this.vector("/band_of"));
    const bestGammas = Uint32Array.from(this.vector("/best_gammas", nTargets));
    const rows = parts.coef?.shape[0] ?? parts.xFit?.shape[1];
    const width = bandOf.length * (parts.coef ? parts.delays?.length ?? 1 : 1);
    if (rows !== width || bandOf.some((b) => b >= labels.length)) {
      this.fail(
        `/band_of has ${bandOf.length} features of ${labels.length} bands, it does not fit`,
      );
    }
    if (bestGammas.some((g) => g >= nIter)) {
      this.fail(`/best_gammas goes beyond ${nIter} weightings`);
    }
    return new FittedGroupRidge(gpu, {
      ...parts,
      ...{ bands: { labels, bandOf }, bestGammas },
      gammas: Array.from(
        { length: nIter },
        (_, g) => all.slice(g * labels.length, (g + 1) * labels.length),
      ),
      alphas: this.vector("/alphas"),
      bestAlphas: this.vector("/best_alphas", nTargets),
      cvScores: toFloat64(this.#file.read("/cv_scores")),
      cvR2: this.vector("/r2", nTargets),
    });
  }
}

function parseOptions(text: unknown): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(String(text));
    return value !== null && typeof value === "object" ? { ...value } : {};
  } catch (cause) {
    // Options tell how a model was made; one that lost them still predicts.
    return { unreadable: String(cause) };
  }
}
