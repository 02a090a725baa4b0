import { foldIn, type Key, normal } from "../../engine/random.ts";
import { linearStart } from "../encoding/alignment/parameters.ts";
import { latentSize, type VaeShape } from "./settings.ts";

/** Values of the network by the names of its PyTorch tensors. */
export type VaeWeights = ReadonlyMap<string, Float64Array<ArrayBuffer>>;

/**
 * Shapes of the tensors by their names in the released code's PyTorch module. Without a label its head has none.
 *
 * Encoder: `relu(fc1(x))`, then `fc_mu` and `fc_logvar`; decoder: `fc_x(z)`, `fc_category(z of its group)`, and pose as `z` of its group
 * times `dimwise_scale`, element by element.
 */
export function vaeTensorShapes(shape: VaeShape): Map<string, readonly number[]> {
  const { nSites, hidden, groups, pose, category } = shape;
  const nLatent = latentSize(groups);
  const linear = (name: string, nOut: number, nIn: number) =>
    [[`${name}.weight`, [nOut, nIn]], [`${name}.bias`, [nOut]]] as const;
  return new Map<string, readonly number[]>([
    ...linear("encoder.fc1", hidden, nSites),
    ...linear("encoder.fc_mu", nLatent, hidden),
    ...linear("encoder.fc_logvar", nLatent, hidden),
    ...linear("decoder.fc_x", nSites, nLatent),
    ...(category ? linear("decoder.fc_category", category.size, groups[category.group]) : []),
    ...(pose ? [["decoder.dimwise_scale", [pose.size]]] as const : []),
  ]);
}

/** Standard deviation of the first values of `dimwise_scale`, as in the released code. */
const SCALE_STD = 0.01;

/** First values: PyTorch's `Linear` (uniform within ±1/√nIn, biases too), normal with deviation 0.01 for `dimwise_scale`. */
export function initialWeights(shape: VaeShape, key: Key): VaeWeights {
  const shapes = vaeTensorShapes(shape);
  const start = (name: string, i: number): Float32Array => {
    const dims = shapes.get(name) ?? [];
    const drawn = foldIn(key, i);
    if (name === "decoder.dimwise_scale") return normal(drawn, dims[0]).map((v) => SCALE_STD * v);
    const [, nIn] = shapes.get(name.replace(/bias$/, "weight")) ?? [];
    return linearStart(drawn, dims, nIn).values;
  };
  return new Map([...shapes.keys()].map((name, i) => [name, Float64Array.from(start(name, i))]));
}
