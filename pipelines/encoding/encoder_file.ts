import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { requireFinite } from "../io/checks.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { toFloat32, toFloat64 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { Encoder, type EncoderDetails } from "./encoder.ts";
import { LinearModel } from "./linear_model.ts";
import type { FeatureNormalizer, Normalization } from "./normalize.ts";

const FORMAT = "gyrus encoder 1";
const SOLVERS = ["ridge", "probe"] as const;
const NORMALIZATIONS: readonly Normalization[] = ["l2", "zscore", "none"];
const DETAILS = ["bestAlphas", "cvScores", "alphas", "losses"];
const ROWS_AT_ONCE = 256;

/**
 * Writes an encoder as HDF5: `/coef [nFeatures, nTargets]` and `/intercept [nTargets]` in float32; in float64 `/bestAlphas` and
 * `/cvScores [nTargets]` and `/alphas` of a ridge regression, `/losses [epochs]` of a probe, `/featureMean` and `/featureStd
 * [nFeatures]` where features are z-scored; attributes `format`, `solver`, `normalization` and `options` (JSON).
 *
 * @throws {InputError} when the file system refuses
 */
export async function saveEncoder(
  path: string,
  encoder: Encoder,
  { inPlace = false }: { inPlace?: boolean } = {},
): Promise<void> {
  const { model: { coef, intercept }, normalizer, solver, details, options } = encoder;
  using file = await Hdf5Writer.create(path, { inPlace });
  file.setAttribute("/", "format", FORMAT);
  file.setAttribute("/", "solver", solver);
  file.setAttribute("/", "normalization", normalizer.kind);
  file.setAttribute("/", "options", JSON.stringify(options));
  const [p, nTargets] = coef.shape;
  file.createDataset("/coef", { shape: coef.shape, dtype: "f32" });
  for (let row = 0; row < p; row += ROWS_AT_ONCE) {
    const end = Math.min(p, row + ROWS_AT_ONCE);
    file.writeRows("/coef", row, coef.data.slice(row * nTargets, end * nTargets));
  }
  file.createDataset("/intercept", { shape: [nTargets], dtype: "f32" });
  file.writeRows("/intercept", 0, intercept);
  const { mean, std } = normalizer;
  const more: EncoderDetails = mean && std
    ? { ...details, featureMean: mean, featureStd: std }
    : details;
  for (const [name, values] of Object.entries(more)) {
    file.createDataset(`/${name}`, { shape: [values.length], dtype: "f64" });
    file.writeRows(`/${name}`, 0, values);
  }
  file.commit();
}

/**
 * Reads what {@link saveEncoder} wrote.
 *
 * @param gpu where it will predict
 * @throws {InputError} when the file is not an encoder, or its parts do not fit each other
 */
export async function loadEncoder(gpu: Gpu, path: string): Promise<Encoder> {
  using file = await Hdf5File.open(path);
  const { format, solver, normalization, options } = file.attributes();
  const fail = (problem: string): never => {
    throw new InputError(`Cannot read the encoder ${quote(path)}: ${problem}`);
  };
  if (format !== FORMAT) {
    fail(`its attribute "format" must be "${FORMAT}", it is ${quote(String(format))}`);
  }
  const known = SOLVERS.find((name) => name === solver) ??
    fail(`its solver is ${quote(String(solver))}, it must be one of ${SOLVERS.join(", ")}`);
  const kind = NORMALIZATIONS.find((name) => name === normalization) ??
    fail(`its normalization is ${quote(String(normalization))}`);
  const coef = file.read("/coef"), intercept = toFloat32(file.read("/intercept"));
  const [p, nTargets] = coef.shape;
  if (coef.shape.length !== 2 || intercept.length !== nTargets || p * nTargets === 0) {
    fail(`/coef is [${coef.shape}] and /intercept has ${intercept.length} values`);
  }
  const weights = toFloat32(coef);
  requireFinite(weights, { source: `${path}:/coef`, columns: nTargets });
  requireFinite(intercept, { source: `${path}:/intercept` });
  const vector = (name: string, length: number): Float64Array<ArrayBuffer> => {
    const values = toFloat64(file.read(name));
    if (values.length !== length) fail(`${name} has ${values.length} values, needs ${length}`);
    requireFinite(values, { source: `${path}:${name}` });
    return values;
  };
  const normalizer: FeatureNormalizer = kind === "zscore"
    ? { kind, mean: vector("/featureMean", p), std: vector("/featureStd", p) }
    : { kind };
  const there = new Set(file.datasets());
  const details = Object.fromEntries(
    DETAILS.filter((name) => there.has(`/${name}`)).map((
      name,
    ) => [name, toFloat64(file.read(`/${name}`))]),
  );
  return new Encoder({
    model: new LinearModel(gpu, { data: weights, shape: [p, nTargets] }, intercept),
    ...{ normalizer, solver: known, details, options: parseOptions(options) },
  });
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
