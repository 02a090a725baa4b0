import {
  featureStages,
  layerGroups,
  layerStages,
  stageGroups,
} from "../encoding/feature_layers.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import { readFeatureLayers } from "./feature_layers.ts";
import { readVector } from "./read_matrix.ts";
import { readText } from "./read_text.ts";

const FORM = 'it must be a list of one label per feature, or {"name": [first, after the last], …}';

/** Groups of features as the command line says. */
export interface NamedBands {
  /** Number of the group of each feature, `[nFeatures]`. */
  readonly groups: Float64Array<ArrayBuffer>;
  /** Name of each number, where groups have names. */
  readonly names?: readonly string[];
}

/**
 * Groups of features: `taps`, one for each tap of the network; `early-mid-late`, one for early, middle and late taps; or those of a file:
 * JSON with one label (text or number) per feature, or with the range of each group by name; or an array reference with one number per
 * feature.
 *
 * @param text what `--bands` says
 * @param features reference of the features, which knows its taps
 * @throws {InputError} when the features know no taps, the file is something else, or a feature is in no group or in two
 */
export async function readBands(
  text: string,
  { features, nFeatures }: { readonly features: string; readonly nFeatures: number },
): Promise<NamedBands> {
  if (text === "taps") {
    const layers = await readFeatureLayers(features, nFeatures);
    return { groups: layerGroups(layers, nFeatures), names: layers.map(({ name }) => name) };
  }
  if (text === "early-mid-late") {
    const layers = await readFeatureLayers(features, nFeatures);
    const there = layerStages(layers.map(({ name }) => name));
    const names = featureStages.filter((stage) => there.includes(stage));
    return { groups: stageGroups(layers, nFeatures), names };
  }
  if (/\.json$/i.test(text)) return readJsonBands(text, nFeatures);
  const groups = await readVector(text, nFeatures, "one per feature");
  return { groups: Float64Array.from(groups) };
}

function readJsonBands(path: string, nFeatures: number): NamedBands {
  const fail = (problem: string): never => {
    throw new InputError(`Cannot read the bands of ${quote(path)}: ${problem}`);
  };
  let parsed: unknown;
  try {
    parsed = JSON.parse(readText(path));
  } catch (cause) {
    if (cause instanceof SyntaxError) fail("it is not JSON");
    throw cause;
  }
  if (Array.isArray(parsed)) {
    if (parsed.length !== nFeatures) {
      fail(`it has ${parsed.length} labels for ${nFeatures} features`);
    }
    const numbers = new Map<unknown, number>();
    const groups = Float64Array.from(parsed, (label: unknown) => {
      if (typeof label !== "string" && typeof label !== "number") fail(FORM);
      if (!numbers.has(label)) numbers.set(label, numbers.size);
      return numbers.get(label)!;
    });
    return { groups, names: [...numbers.keys()].map(String) };
  }
  if (typeof parsed !== "object" || parsed === null) return fail(FORM);
  const bands = new Float64Array(nFeatures).fill(-1);
  Object.entries(parsed).forEach(([name, range], band) => {
    const [first, last] = Array.isArray(range) && range.length === 2 ? range : [NaN, NaN];
    const isRange = Number.isInteger(first) && Number.isInteger(last) && first >= 0 &&
      first < last && last <= nFeatures;
    if (!isRange) {
      fail(
        `${quote(name)} is ${
          JSON.stringify(range)
        }, it must be [first, after the last] of ${nFeatures} features`,
      );
    }
    for (let j = first; j < last; j++) {
      if (bands[j] >= 0) fail(`feature ${j} is in two bands`);
      bands[j] = band;
    }
  });
  const missing = bands.indexOf(-1);
  if (missing >= 0) fail(`feature ${missing} is in no band`);
  return { groups: bands, names: Object.keys(parsed) };
}
