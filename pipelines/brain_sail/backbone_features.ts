/**
 * Features of a study by a backbone, kept as they are made so that a run that was stopped goes on.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { hostTensor, toFloat32 } from "../io/state_dict.ts";
import { resumeSteps, type StepArrays, type StepLog } from "../io/step_log.ts";
import {
  type Backbone,
  classTokenBatch,
  classTokens,
  denseFeatures,
  type DensePair,
} from "./backbone.ts";
import type { Study } from "./study.ts";

/** Where features are kept meanwhile. */
export interface KeptFeatures extends LongCall {
  /** Logs of class tokens and of dense features; nothing is kept without. */
  readonly logs?: { readonly tokens?: StepLog; readonly dense?: StepLog };
}

function packed(arrays: Readonly<Record<string, HostMatrix>>): StepArrays {
  return new Map(
    Object.entries(arrays).map(([name, { data, shape }]) => [name, hostTensor(data, shape)]),
  );
}

function unpacked(arrays: StepArrays, name: string): HostMatrix {
  const tensor = arrays.get(name)!;
  return hostMatrix(toFloat32(tensor), [tensor.shape[0], tensor.shape[1]]);
}

/** Class tokens of all images of a study, `[nImages, m]`, from the log as far as it has them. */
export async function allTokens(
  gpu: Gpu,
  backbone: Backbone,
  study: Study,
  { logs, signal, onProgress }: KeptFeatures = {},
): Promise<HostMatrix> {
  const step = classTokenBatch(backbone);
  async function* rest(first: number): AsyncGenerator<StepArrays> {
    const call = { first: first * step, signal, onProgress };
    for await (const tokens of classTokens(gpu, backbone, study.images, call)) {
      yield packed({ tokens });
    }
  }
  const n = study.images.names.length;
  let out: Float32Array<ArrayBuffer> | undefined;
  let at = 0;
  for await (const arrays of resumeSteps(logs?.tokens, rest)) {
    const { data, shape: [, m] } = unpacked(arrays, "tokens");
    out ??= new Float32Array(n * m);
    out.set(data, at);
    at += data.length;
  }
  return hostMatrix(out!, [n, out!.length / n]);
}

/** Dense features of a study's mapped images, from the log as far as it has them. */
export async function* allDense(
  gpu: Gpu,
  backbone: Backbone,
  study: Study,
  { logs, signal, onProgress }: KeptFeatures = {},
): AsyncGenerator<DensePair> {
  async function* rest(first: number): AsyncGenerator<StepArrays> {
    const call = { rows: study.mappedRows, first, signal, onProgress };
    for await (const { distilled, plain } of denseFeatures(gpu, backbone, study.images, call)) {
      yield packed({ distilled, plain });
    }
  }
  for await (const arrays of resumeSteps(logs?.dense, rest)) {
    yield { distilled: unpacked(arrays, "distilled"), plain: unpacked(arrays, "plain") };
  }
}
