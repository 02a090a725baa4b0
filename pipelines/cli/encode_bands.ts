import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import { readVector } from "./read_matrix.ts";
import { readText } from "./read_text.ts";

const FORM = 'it must be a list of one label per feature, or {"name": [first, after the last], …}';

/**
 * Groups of features from a file: JSON with one label (text or number) per feature, or with the range of each group by name; or an
 * array reference with one number per feature.
 *
 * @returns number of the group of each feature, `[nFeatures]`
 * @throws {InputError} when the file is something else, or a feature is in no group or in two
 */
export async function readBands(path: string, nFeatures: number): Promise<Float64Array> {
  if (!/\.json$/i.test(path)) return await readVector(path, nFeatures, "one per feature");
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
    return Float64Array.from(parsed, (label: unknown) => {
      if (typeof label !== "string" && typeof label !== "number") fail(FORM);
      if (!numbers.has(label)) numbers.set(label, numbers.size);
      return numbers.get(label)!;
    });
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
  return bands;
}
