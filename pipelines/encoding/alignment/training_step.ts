import {
  add,
  addScalar,
  div,
  full,
  minimum,
  mul,
  scale,
  sqrt,
  square,
} from "../../../engine/ops/elementwise.ts";
import { gather } from "../../../engine/ops/gather.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { concat, slice, stack } from "../../../engine/ops/shape.ts";
import type { Gpu } from "../../../engine/gpu.ts";
import { foldIn, type Key, randomBits } from "../../../engine/random.ts";
import { record, Tape } from "../../../engine/tape.ts";
import { Tensor, tidy } from "../../../engine/tensor.ts";
import { permutation } from "../cross_validation.ts";
import { range } from "../host_matrix.ts";
import { eigenLoss, nodeGraph } from "./eigen_loss.ts";
import { brainLossSum, covarianceLoss, zeroLoss } from "./losses.ts";
import type { AlignmentOptimizer } from "./optimizer.ts";
import type { Parameters, SliceGroup } from "./parameters.ts";
import type { Readout } from "./readout.ts";
import type { ResolvedSettings } from "./settings.ts";

/** Losses of a step, in the order in which they are kept. */
export const LOSS_NAMES = ["brain", "eigen", "zero", "covariance"] as const;

/** What a step needs beside its images. */
export interface StepContext {
  readonly gpu: Gpu;
  readonly settings: ResolvedSettings;
  readonly groups: readonly SliceGroup[];
  readonly readout: Readout;
  readonly parameters: Parameters;
  readonly optimizer: AlignmentOptimizer;
  readonly signal?: AbortSignal;
}

/** Images of a step. */
export interface StepBatch {
  /** Number of the step from the first of all. */
  readonly step: number;
  /** Scaled tokens of each group `[count · images · tokens, width]`. */
  readonly tokens: readonly Tensor[];
  /** Responses of each stretch of voxels `[images, voxels]`. */
  readonly responses: readonly Tensor[];
  /** Images and tokens of each. */
  readonly sizes: { readonly images: number; readonly tokens: number };
}

/** Aligned tokens `[slices, images, tokens, width]` by maps `[count, width, shared]` of each group. */
export function alignTokens(
  tokens: readonly Tensor[],
  maps: readonly Tensor[],
  { images, tokens: nTokens }: StepBatch["sizes"],
): Tensor {
  return tidy(tokens[0].gpu, () => {
    const parts = tokens.map((x, g) => {
      const [count, width] = maps[g].shape;
      return matmul(x.reshape([count, images * nTokens, width]), maps[g]);
    });
    const all = parts.length === 1 ? parts[0] : concat(parts, 0);
    return all.reshape([all.shape[0], images, nTokens, all.shape[2]]);
  });
}

/** The slices of a step's eigen-constraint and their nodes, patches alone: rows of `[images, tokens]`. */
function drawNodes(key: Key, context: StepContext, { images, tokens }: StepBatch["sizes"]) {
  const { settings: { eigenSlices, eigenNodes }, groups } = context;
  const nSlices = groups.reduce((total, { count }) => total + count, 0);
  const slices = permutation(foldIn(key, 0), nSlices).slice(0, eigenSlices).sort();
  const patches = range(images * (tokens - 1)).map((p) => p + Math.floor(p / (tokens - 1)) + 1);
  return [...slices].map((index) => {
    const bits = randomBits(foldIn(key, 1 + index), patches.length);
    const order = range(patches.length).sort((a, b) => bits[a] - bits[b] || a - b);
    return { index, rows: order.slice(0, eigenNodes).map((p) => patches[p]).sort() };
  });
}

/** Graphs of the drawn nodes before and after alignment, `[drawn, n, n]` each. */
function drawnGraphs(batch: StepBatch, aligned: Tensor, key: Key, context: StepContext) {
  const { groups, settings: { eigenGamma } } = context;
  const drawn = drawNodes(key, context, batch.sizes);
  const { images, tokens } = batch.sizes;
  const before = drawn.map(({ index, rows }) => {
    const g = groups.findIndex(({ first, count }) => index >= first && index < first + count);
    const from = (index - groups[g].first) * images * tokens;
    const x = batch.tokens[g].reshape([-1, groups[g].width]);
    return nodeGraph(gather(x, rows.map((row) => row + from), { axis: 0 }), eigenGamma);
  });
  const width = aligned.shape[3], flat = aligned.reshape([-1, width]);
  const rows = drawn.flatMap((
    { index, rows },
  ) => [...rows.map((row) => row + index * images * tokens)]);
  const nodes = gather(flat, Uint32Array.from(rows), { axis: 0 });
  const after = nodeGraph(nodes.reshape([drawn.length, -1, width]), eigenGamma);
  return { before: stack(before), after };
}

/** The loss on responses, and its gradients, stretch by stretch of voxels so that predictions never are there all at once. */
function headGradients(pooled: Tensor, batch: StepBatch, context: StepContext) {
  const { gpu, settings, readout, parameters } = context;
  const nVoxels = readout.chunks.at(-1)?.end ?? 0;
  const share = settings.brainWeight / (readout.nOutputs * batch.sizes.images * nVoxels);
  const gradients = new Map<string, Tensor>();
  let loss = full(gpu, [1], 0), toPooled: Tensor | undefined;
  readout.chunks.forEach((_, c) => {
    const names = readout.namesOf(c);
    const done = tidy(gpu, () => {
      using tape = new Tape();
      const x = tape.watch(pooled);
      const watched = new Map(names.map((name) => [name, tape.watch(parameters.get(name))]));
      const of = (name: string) => watched.get(name) ?? parameters.get(name);
      const wrong = brainLossSum(readout.predict(x, c, of), batch.responses[c], settings.brainLoss);
      const scaled = scale(wrong, share).reshape([1]);
      const penalty = readout.penalty(c, of, batch.step)?.reshape([1]);
      const total = penalty ? add(scaled, penalty) : scaled;
      const grads = tape.gradient(total, [x, ...watched.values()]);
      return { loss: add(loss, scaled.detach()), grads };
    });
    loss.dispose();
    loss = done.loss;
    const [first, ...others] = done.grads;
    toPooled = summed(toPooled, first);
    names.forEach((name, i) => gradients.set(name, summed(gradients.get(name), others[i])));
  });
  return { loss, toPooled: toPooled!, gradients };
}

function summed(before: Tensor | undefined, part: Tensor): Tensor {
  if (before === undefined) return part;
  const total = add(before, part);
  before.dispose();
  part.dispose();
  return total;
}

/** Gradients scaled so that all of them together are no longer than `limit`. */
function clipped(gradients: readonly Tensor[], limit: number): Tensor[] {
  const { gpu } = gradients[0];
  const squares = gradients.map((g) => sum(square(g)).reshape([1])).reduce((a, b) => add(a, b));
  const factor = div(full(gpu, [1], limit), addScalar(sqrt(squares), 1e-6));
  const bounded = minimum(factor, full(gpu, [1], 1));
  return gradients.map((g) => mul(g, bounded));
}

/**
 * One step of training: losses, their gradients, an update of all parameters.
 *
 * @returns the losses `[4]` in the order of {@link LOSS_NAMES}, before their weights but for the first; the caller owns it
 */
export async function trainingStep(
  batch: StepBatch,
  key: Key,
  context: StepContext,
): Promise<Tensor> {
  const { gpu, settings, parameters, groups, signal } = context;
  const { eigenWeight, zeroWeight, covarianceWeight } = settings;
  using tape = new Tape();
  const { maps, aligned, graphs } = tidy(gpu, () => {
    const maps = groups.map((_, g) => tape.watch(parameters.get(`map/${g}`)));
    const aligned = alignTokens(batch.tokens, maps, batch.sizes);
    const graphs = eigenWeight > 0 ? drawnGraphs(batch, aligned, key, context) : undefined;
    return { maps, aligned, graphs: graphs ? [graphs.before, graphs.after] : [] };
  });
  using owned = new DisposableStack();
  for (const tensor of [...maps, aligned, ...graphs]) owned.use(tensor);
  const { eigenLoss: form, eigenKs } = settings;
  // A last batch of few images may have fewer nodes than eigenvectors are asked for.
  const ks = eigenKs.filter((k) => k < (graphs[0]?.shape[1] ?? 0));
  const eigen = ks.length > 0
    ? owned.use(await eigenLoss(graphs[0], graphs[1], { form, ks, signal }))
    : undefined;
  return tidy(gpu, () => {
    const [slices, images, tokens, width] = aligned.shape;
    const nodes = aligned.reshape([slices, images * tokens, width]);
    const pooled = context.readout.pool(aligned);
    const head = headGradients(pooled.detach(), batch, context);
    // The gradient by the pooled tokens is known: the tape takes it as it is.
    const brain = record(
      head.loss.detach(),
      [pooled],
      [head.toPooled],
      (g, [known]) => [() => mul(known, g)],
    );
    const terms: readonly (readonly [Tensor, number])[] = [
      [brain, 1],
      [(eigen ?? full(gpu, [1], 0)).reshape([1]), eigenWeight],
      [zeroLoss(nodes, settings.zeroLoss).reshape([1]), zeroWeight],
      [covarianceLoss(nodes, settings.covarianceLoss).reshape([1]), covarianceWeight],
    ];
    const total = terms.filter(([, weight]) => weight > 0)
      .map(([term, weight]) => scale(term, weight)).reduce((a, b) => add(a, b));
    const toMaps = tape.gradient(total, maps);
    const names = [...parameters.tensors.keys()];
    const gradients = names.map((name) =>
      name.startsWith("map/") ? toMaps[Number(name.slice(4))] : head.gradients.get(name)!
    );
    context.optimizer.step(clipped(gradients, settings.clipNorm));
    return concat(terms.map(([term]) => term.detach()), 0);
  });
}

/** The stretches of responses `[images, nVoxels]` on the device. */
export function uploadResponses(
  gpu: Gpu,
  responses: Float32Array<ArrayBuffer>,
  { images, readout }: { readonly images: number; readonly readout: Readout },
): Tensor[] {
  const nVoxels = readout.chunks.at(-1)?.end ?? 0;
  const whole = Tensor.from(gpu, responses, [images, nVoxels]);
  if (readout.chunks.length === 1) return [whole];
  const parts = readout.chunks.map(({ start, end }) => slice(whole, { axis: 1, start, end }));
  whole.dispose();
  return parts;
}
