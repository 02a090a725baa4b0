import type { Gpu } from "../../../engine/gpu.ts";
import { readAll } from "../../../engine/tensor.ts";
import { InputError } from "../../errors.ts";
import { type HostMatrix, hostMatrix } from "../host_matrix.ts";
import { Alignment, type AlignmentHead } from "./alignment.ts";
import type { HeldOutSplit } from "./held_out.ts";
import { Parameters, type ParameterStart, type SliceGroup } from "./parameters.ts";
import type { Readout } from "./readout.ts";
import type { ResolvedSettings } from "./settings.ts";
import type { TokenSource } from "./tokens.ts";
import type { TrainingState } from "./training_state.ts";

/** What an alignment is made from when training is over. */
interface Trained {
  readonly source: TokenSource;
  readonly split: HeldOutSplit;
  readonly scales: Float64Array;
  readonly groups: readonly SliceGroup[];
  readonly readout: Readout;
  readonly settings: ResolvedSettings;
  readonly state: TrainingState;
  readonly mean: Float64Array<ArrayBuffer>;
  readonly std: Float64Array<ArrayBuffer>;
}

/** Maps as they apply to tokens that are not scaled. */
function mapsOf(
  { source, scales, groups, settings }: Trained,
  best: ReadonlyMap<string, ParameterStart>,
) {
  const maps: HostMatrix[] = [];
  groups.forEach(({ first, count, width }, g) => {
    const { values } = best.get(`map/${g}`)!;
    const size = width * settings.width;
    for (let s = 0; s < count; s++) {
      const part = values.slice(s * size, (s + 1) * size).map((w) => w / scales[first + s]);
      maps.push(hostMatrix(part, [width, settings.width]));
    }
  });
  if (maps.length !== source.slices.length) throw new Error("every slice has a map");
  return maps;
}

async function headOf(
  gpu: Gpu,
  { readout, settings: { width } }: Trained,
  best: ReadonlyMap<string, ParameterStart>,
): Promise<AlignmentHead> {
  const nVoxels = readout.chunks.at(-1)?.end ?? 0;
  const beta = new Float32Array(width * nVoxels), bias = new Float32Array(nVoxels);
  const chosen = new Map<string, Float32Array<ArrayBuffer>[]>();
  using parameters = new Parameters(gpu, best);
  for (const [c, { start, end }] of readout.chunks.entries()) {
    const n = end - start;
    best.get(`beta/${c}`)!.values.forEach((w, at) => {
      beta[Math.floor(at / n) * nVoxels + start + at % n] = w * readout.betaScale;
    });
    bias.set(best.get(`bias/${c}`)!.values, start);
    const choices = Object.entries(readout.choices(c, (name) => parameters.get(name)));
    const values = await readAll(choices.map(([, tensor]) => tensor));
    choices.forEach(([name, tensor], i) => {
      chosen.set(name, [...chosen.get(name) ?? [], Float32Array.from(values[i])]);
      tensor.dispose();
    });
  }
  const choices = [...chosen].map(([name, parts]): [string, HostMatrix] => {
    const all = new Float32Array(parts.reduce((total, part) => total + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return [name, hostMatrix(all, [nVoxels, all.length / nVoxels])];
  });
  return { beta: hostMatrix(beta, [width, nVoxels]), bias, choices: Object.fromEntries(choices) };
}

/**
 * The alignment of the best epoch.
 *
 * @throws {InputError} when no epoch had finite scores
 */
export async function finishAlignment(gpu: Gpu, trained: Trained): Promise<Alignment> {
  const { source, split, settings, state: { history, best } } = trained;
  if (!best) throw new InputError("Cannot align channels: no epoch gave finite scores");
  const { key: _, ...told } = settings;
  const column = (i: number) => Float64Array.from(history.losses, (losses) => losses[i]);
  return new Alignment(gpu, {
    slices: source.slices,
    grid: source.grid,
    weights: mapsOf(trained, best.values),
    head: await headOf(gpu, trained, best.values),
    responseMean: trained.mean,
    responseStd: trained.std,
    settings: told,
    training: {
      losses: { brain: column(0), eigen: column(1), zero: column(2), covariance: column(3) },
      meanR2: Float64Array.from(history.meanR2),
      medianR2: Float64Array.from(history.medianR2),
      bestEpoch: best.epoch,
      r2: hostMatrix(best.r2.values, [best.r2.shape[0], best.r2.shape[1]]),
      heldOut: split.test,
    },
  });
}
