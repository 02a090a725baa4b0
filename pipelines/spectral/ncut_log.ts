import { createHash } from "node:crypto";
import type { Gpu } from "../../engine/gpu.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { hostArray, type HostTensor, hostTensor } from "../io/state_dict.ts";
import { type RunFacts, StepLog } from "../io/step_log.ts";
import type { Affinity } from "./affinity.ts";
import type { NcutPlan } from "./ncut_options.ts";
import { mapped, type NcutState, restoreNcut, type SolvedNcut, solveNcut } from "./ncut_solve.ts";
import { type NodeSource, windows } from "./node_source.ts";

/** Where a cut keeps what it has, to go on after it was stopped. */
export interface NcutCheckpoint {
  /** A file; it is begun where there is none, and left when the cut is done. */
  readonly checkpoint?: string;
  /** What the nodes are, by names that a user knows, so that a file of other nodes is refused. */
  readonly facts?: RunFacts;
}

/** A cut and the rows of its nodes, piece by piece. */
export interface NcutRun {
  /** The cut. */
  readonly solved: SolvedNcut;
  /** Rows in pieces of the chunk size; those of an earlier run first. */
  readonly rows: AsyncGenerator<Float32Array<ArrayBuffer>>;
}

/**
 * Solves a cut, or takes it from a checkpoint that has it, and gives the rows of all nodes. What the checkpoint has is not computed again,
 * and what is computed is the same to the last bit as in a run that was never stopped: first the solved cut is kept, then each piece of
 * rows as it is done. A run that is stopped before the cut is solved begins anew.
 *
 * @throws {InputError} when the checkpoint is of other nodes or options, or an affinity is a function, which a file cannot keep
 */
export async function runNcut(
  gpu: Gpu,
  source: NodeSource,
  plan: NcutPlan,
  { checkpoint, facts, ...call }: LongCall & NcutCheckpoint,
): Promise<NcutRun> {
  if (checkpoint === undefined) {
    const solved = await solveNcut(gpu, source, plan, call);
    return { solved, rows: solved.chunks() };
  }
  const log = new StepLog(checkpoint, { ...facts, ...factsOf(source, plan) });
  try {
    if (log.size === 0) {
      const solved = await solveNcut(gpu, source, plan, call);
      log.append(stateArrays(solved.state));
      return { solved, rows: logged(log, solved.chunks()) };
    }
    const state = stateOf(log.read(0));
    const map = await restoreNcut(gpu, source, plan, state);
    const firstRow = plan.chunkSize * (log.size - 1);
    const options = { affinity: state.affinity, chunkSize: plan.chunkSize, firstRow, ...call };
    const rest = plan.method === "exact"
      ? piecesOf(state, plan, log.size - 1)
      : mapped(gpu, source, map, options);
    const solved: SolvedNcut = {
      ...{ state, map, width: source.shape[1], chunks: () => rest },
      [Symbol.dispose]: () => map[Symbol.dispose](),
    };
    return { solved, rows: logged(log, rest) };
  } catch (cause) {
    log[Symbol.dispose]();
    throw cause;
  }
}

/** Pieces that the log has, then the others, each kept before it is given on. */
async function* logged(
  log: StepLog,
  rest: AsyncGenerator<Float32Array<ArrayBuffer>>,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  try {
    const kept = log.size;
    for (let step = 1; step < kept; step++) {
      yield hostArray(log.read(step).get("rows")!) as Float32Array<ArrayBuffer>;
    }
    for await (const rows of rest) {
      log.append(new Map([["rows", hostTensor(rows, [rows.length])]]));
      yield rows;
    }
  } finally {
    log[Symbol.dispose]();
  }
}

async function* piecesOf(
  { neighbors }: NcutState,
  { nEig, chunkSize }: NcutPlan,
  skipped: number,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  await Promise.resolve();
  const { data, shape: [n] } = neighbors!.values;
  for (const [start, end] of [...windows(n, chunkSize)].slice(skipped)) {
    yield data.slice(start * nEig, end * nEig);
  }
}

const SAMPLED_ROWS = 64;

/** What the result follows from: options, and the nodes by some of their rows. */
function factsOf(source: NodeSource, plan: NcutPlan): RunFacts {
  const [n] = source.shape, hash = createHash("sha256");
  for (let i = 0; i < SAMPLED_ROWS; i++) {
    const row = Math.floor(i * (n - 1) / (SAMPLED_ROWS - 1));
    hash.update(new Uint8Array(source.readRows(row, row + 1).slice().buffer));
  }
  const { cacheBytes: _, landmarks, ...options } = plan;
  for (const affinity of [plan.affinity, plan.propagationAffinity]) {
    if (affinity && "compute" in affinity) {
      throw new InputError("Cannot keep a checkpoint of a cut with a custom affinity");
    }
  }
  return {
    nodes: [source.shape, hash.digest("hex")],
    options: { ...options, landmarks: landmarks && Array.from(landmarks) },
  };
}

function stateArrays(state: NcutState): Map<string, HostTensor> {
  const { affinity, eigval, residuals, landmarks, neighbors, turn } = state;
  const text = new TextEncoder().encode(
    JSON.stringify({ affinity, near: neighbors?.affinity, floor: turn?.floor }),
  );
  const arrays = new Map<string, HostTensor>([
    ["text", hostTensor(text, [text.length])],
    ["eigval", hostTensor(eigval, [eigval.length])],
    ["residuals", hostTensor(residuals, [residuals.length])],
    ["landmarks", hostTensor(landmarks, [landmarks.length])],
  ]);
  if (neighbors) {
    arrays.set("rows", hostTensor(neighbors.rows, [neighbors.rows.length]));
    arrays.set("values", hostTensor(neighbors.values.data, neighbors.values.shape));
  }
  if (turn) {
    arrays.set("total", hostTensor(turn.total, [turn.total.length]));
    arrays.set("turn", hostTensor(turn.turn, [turn.turn.length]));
  }
  return arrays;
}

function stateOf(arrays: ReadonlyMap<string, HostTensor>): NcutState {
  const get = <T>(name: string) => hostArray(arrays.get(name)!) as T;
  const { affinity, near, floor }: { affinity: Affinity; near?: Affinity; floor?: number } = JSON
    .parse(new TextDecoder().decode(get<Uint8Array>("text")));
  const [m, k] = arrays.get("values")?.shape ?? [];
  return {
    ...{ affinity, eigval: get("eigval"), residuals: get("residuals") },
    landmarks: get("landmarks"),
    neighbors: near && {
      ...{ rows: get("rows"), affinity: near },
      values: { data: get("values"), shape: [m, k] },
    },
    turn: floor === undefined ? undefined : { floor, total: get("total"), turn: get("turn") },
  };
}
