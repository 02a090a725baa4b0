import { add, mul, scale } from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { type Affinity, affinityMatrix } from "./affinity.ts";
import { cutGraph, type CutOptions, type GraphCut } from "./exact_ncut.ts";
import { featureGraph, graphOf, type GraphOptions } from "./graph.ts";
import { kwayNcut } from "./kway.ts";

/** Options of {@link clickPrompt}. */
export interface ClickPromptOptions extends Omit<CutOptions, "nEig">, GraphOptions {
  /** How alike two nodes are. */
  readonly affinity: Affinity;
  /** Nodes that were clicked as part of the object, at least one. */
  readonly foreground: ArrayLike<number>;
  /** Nodes that were clicked as not part of it. */
  readonly background?: ArrayLike<number>;
  /** Share of the clicks in the graph, from 0 to 1: less of it grows the mask. */
  readonly clickWeight?: number;
  /** Weight of the background clicks beside those of the foreground. */
  readonly backgroundWeight?: number;
  /** Eigenvectors, at least two; the mask uses two. */
  readonly nEig?: number;
}

/** A cut that clicks have biased. */
export interface ClickCut extends GraphCut {
  /** 1 for the nodes on the side of the foreground clicks, `[n]`. */
  readonly mask: Uint8Array<ArrayBuffer>;
  /** How much more a node belongs to that side than to the other, `[n]`. */
  readonly heat: Float32Array<ArrayBuffer>;
}

const CLICK_SIGMA = 0.5; // ncut_pytorch v3, ncuts/ncut_click.py, as the default weights

/**
 * A two-way cut that clicks bias (ncut_pytorch v3, `ncut_click_prompt`, without its sampling): with S the normalised affinities, the
 * affinity to the clicks f = n·(mean of the rows of S of the foreground − `backgroundWeight`·those of the background) becomes a graph of its
 * own, exp(−(fᵢ − fⱼ)²/(2·0.5²)), normalised; `clickWeight` of it and the rest of S are cut together.
 *
 * @param x `[n, d]`
 * @throws {InputError} when a click is no node or on both sides, there is none in the foreground, a weight is out of range, or as
 * {@link featureGraph}
 */
export async function clickPrompt(x: Tensor, options: ClickPromptOptions): Promise<ClickCut> {
  const { affinity, foreground, clickWeight = 0.5, nEig = 2 } = options, { gpu } = x;
  const n = x.shape[0];
  requireClicks(n, options);
  const degree = await degreesOf(x, affinity, options);
  using closeness = await clickFeature(x, degree, options); // [n, 1]
  const click: Affinity = { kind: "rbf", sigma: CLICK_SIGMA };
  const clickDegree = await degreesOf(closeness, click, options);
  const normalised = (
    nodes: Tensor,
    kind: Affinity,
    sums: Float64Array,
    [start, end]: readonly [number, number],
  ) => {
    const inverse = Float32Array.from(sums, (d) => 1 / Math.sqrt(d)), width = nodes.shape[1];
    const a = affinityMatrix(
      nodes.alias([end - start, width], start * width),
      nodes.detach(),
      kind,
    );
    const rows = Tensor.from(gpu, inverse.slice(start, end), [end - start, 1]);
    return mul(mul(a, rows), Tensor.from(gpu, inverse, [1, n]));
  };
  const rows = (start: number, end: number) =>
    tidy(gpu, () =>
      add(
        scale(normalised(closeness, click, clickDegree, [start, end]), clickWeight),
        scale(normalised(x, affinity, degree, [start, end]), 1 - clickWeight),
      ));
  using graph = await graphOf(gpu, n, rows, options);
  const cut = await cutGraph(graph, { ...options, nEig });
  return { ...cut, ...await sideOf(x, cut, foreground) };
}

async function degreesOf(
  x: Tensor,
  affinity: Affinity,
  options: GraphOptions,
): Promise<Float64Array> {
  using graph = await featureGraph(x, affinity, options);
  return graph.degree;
}

/** How close each node is to the clicks, `[n, 1]`. */
async function clickFeature(
  x: Tensor,
  degree: Float64Array,
  { affinity, foreground, background = [], backgroundWeight = 0.1 }: ClickPromptOptions,
): Promise<Tensor> {
  const { gpu } = x, n = degree.length;
  const sides = [{ clicks: foreground, weight: 1 }, {
    clicks: background,
    weight: -backgroundWeight,
  }]
    .filter(({ clicks }) => clicks.length > 0);
  const means = tidy(gpu, () =>
    sides.map(({ clicks }) => {
      const nodes = gather(x.detach(), Uint32Array.from(clicks));
      const inverse = Float32Array.from(clicks, (i) => 1 / Math.sqrt(degree[i]));
      const rows = affinityMatrix(nodes, x.detach(), affinity);
      return mean(mul(rows, Tensor.from(gpu, inverse, [clicks.length, 1])), { axes: [0] });
    }));
  const values = await readAll(means);
  means.forEach((t) => t.dispose());
  const feature = Float32Array.from(degree, (d, i) => {
    const sum = sides.reduce((total, { weight }, side) => total + weight * values[side][i], 0);
    return n * sum / Math.sqrt(d);
  });
  return Tensor.from(gpu, feature, [n, 1]);
}

/** The nodes on the side of the clicks, by a two-way cut. */
async function sideOf(
  { gpu }: Tensor,
  { eigvec }: GraphCut,
  foreground: ArrayLike<number>,
): Promise<Pick<ClickCut, "mask" | "heat">> {
  const cut = await kwayNcut(gpu, eigvec, { nClusters: 2 });
  const { labels, scores: { data } } = await cut.transform(gpu, eigvec);
  const sums = [0, 0];
  for (let c = 0; c < foreground.length; c++) {
    sums.forEach((_, side) => sums[side] += data[2 * foreground[c] + side]);
  }
  const side = sums[1] > sums[0] ? 1 : 0;
  return {
    mask: Uint8Array.from(labels, (label) => Number(label === side)),
    heat: Float32Array.from(labels, (_, i) => data[2 * i + side] - data[2 * i + 1 - side]),
  };
}

function requireClicks(
  n: number,
  { foreground, background = [], clickWeight = 0.5, backgroundWeight = 0.1, nEig = 2 }:
    ClickPromptOptions,
): void {
  const [inside, outside] = [foreground, background].map((clicks) => Array.from(clicks));
  const bad = [...inside, ...outside].find((i) => !(Number.isInteger(i) && i >= 0 && i < n));
  if (bad !== undefined) {
    throw new InputError(`Cannot cut around node ${bad}: nodes are numbered from 0 to ${n - 1}`);
  }
  const both = inside.find((i) => outside.includes(i));
  if (both !== undefined) {
    throw new InputError(`Cannot cut around node ${both}: it was clicked for both sides`);
  }
  if (inside.length === 0) {
    throw new InputError("Cannot cut around clicks: the foreground needs at least one");
  }
  if (!(clickWeight >= 0 && clickWeight <= 1 && backgroundWeight >= 0 && nEig >= 2)) {
    throw new InputError(
      `Cannot cut around clicks: the click weight must be from 0 to 1, it is ${clickWeight}; ` +
        `the background weight at least 0, it is ${backgroundWeight}; and the eigenvectors at least 2, they are ${nEig}`,
    );
  }
}
