/**
 * Reverse-mode differentiation. A tensor knows its tape; there is no global mode. A node holds the nodes of its inputs, saved
 * handles, and a function that gives one thunk per input. Thunks of inputs off the tape never run, so frozen weights cost nothing.
 *
 * @module
 */
import { KernelError, ShapeError } from "./errors.ts";
import type { Gpu } from "./gpu.ts";
import { run } from "./run.ts";
import { allocate, floatType, type Tensor, tidy } from "./tensor.ts";
import { binaryKernels } from "../shaders/elementwise/binary.ts";
import { fillKernel } from "../shaders/elementwise/fill.ts";

/**
 * Gives, for the gradient `g` of the output, one thunk per input that computes that input's gradient. `before` has what other uses of each input
 * gave already, for {@link TapeNode.addsBefore}.
 */
export type Vjp = (
  g: Tensor,
  saved: readonly Tensor[],
  before: readonly (Tensor | undefined)[],
) => readonly (() => Tensor)[];

/** The place of a tensor on a tape. */
export interface TapeNode {
  /** The tape. */
  readonly tape: Tape;
  /** Position on it. */
  readonly index: number;
  /** Nodes of the inputs; undefined for inputs off the tape. */
  readonly inputs: readonly (TapeNode | undefined)[];
  /** Handles that the vjp needs. */
  readonly saved: readonly Tensor[];
  /** Undefined for a watched tensor. */
  readonly vjp?: Vjp;
  /** Whether thunks add what they compute to what was there before, so that sums round in the order of the ops inside. */
  readonly addsBefore?: boolean;
}

/**
 * Records what is computed from its watched tensors. Disposing it drops every saved activation.
 *
 * @example
 * ```ts
 * import { Gpu, mul, sum, Tape, Tensor } from "@gyrus/gyrus";
 * using gpu = await Gpu.open();
 * using image = Tensor.from(gpu, [1, 2, 3]);
 * using tape = new Tape();
 * using x = tape.watch(image);
 * using square = mul(x, x);
 * using loss = sum(square);
 * const [gradient] = tape.gradient(loss, [x]);
 * console.log(await gradient.data()); // 2, 4, 6
 * gradient.dispose();
 * ```
 */
export class Tape implements Disposable {
  #nodes: TapeNode[] = [];

  /** A handle on `x` whose use is recorded. */
  watch(x: Tensor): Tensor {
    const handle = x.alias();
    handle.node = this.#push([], [], undefined);
    return handle;
  }

  /** Puts `out` on the tape. @internal Ops call {@link record}. */
  add(
    out: Tensor,
    inputs: readonly (Tensor | undefined)[],
    saved: readonly Tensor[],
    vjp: Vjp,
    addsBefore = false,
  ): Tensor {
    out.node = this.#push(inputs.map((t) => t?.node), saved.map(keep), vjp, addsBefore);
    return out;
  }

  #push(
    inputs: TapeNode["inputs"],
    saved: readonly Tensor[],
    vjp?: Vjp,
    addsBefore = false,
  ): TapeNode {
    if (inputs.some((n) => n && n.tape !== this)) {
      throw new ShapeError("Cannot record an op: its inputs are on different tapes");
    }
    const node = { tape: this, index: this.#nodes.length, inputs, saved, vjp, addsBefore };
    this.#nodes.push(node);
    return node;
  }

  /**
   * Gradients of `loss` by each of `xs`, which are tensors of this tape. `seed` is the gradient of `loss` itself, 1 where it has one
   * value; `before` are gradients of each of `xs` by something else, which are added first.
   *
   * @throws {ShapeError} when `loss` has several values and no seed, or is not on this tape.
   */
  gradient(
    loss: Tensor,
    xs: readonly Tensor[],
    { seed, before = [] }: { seed?: Tensor; before?: readonly (Tensor | undefined)[] } = {},
  ): Tensor[] {
    const { gpu, node: last } = loss;
    if (last?.tape !== this || xs.some((x) => x.node?.tape !== this)) {
      throw new ShapeError("Cannot differentiate: the loss and every x must be on this tape");
    }
    if (!seed && loss.size !== 1) {
      throw new ShapeError(
        `Cannot differentiate [${loss.shape}] without a seed: the loss must have one value`,
      );
    }
    if (seed && seed.size !== loss.size) {
      throw new ShapeError(
        `Cannot seed [${loss.shape}] with [${seed.shape}]: the sizes must agree`,
      );
    }
    const wanted = new Set(xs.map((x) => x.node!.index));
    return tidy(gpu, () => {
      const start = seed ? seed.alias(loss.shape) : filled(gpu, loss, 1);
      const grads = new Map([[last.index, start]]);
      xs.forEach((x, k) => {
        if (before[k]) grads.set(x.node!.index, before[k].alias());
      });
      this.#walk(last.index, wanted, grads);
      return xs.map((x) => grads.get(x.node!.index)?.alias() ?? filled(gpu, x, 0));
    });
  }

  #walk(last: number, wanted: ReadonlySet<number>, grads: Map<number, Tensor>): void {
    const leads: boolean[] = []; // whether a node depends on a wanted one
    for (const node of this.#nodes.slice(0, last + 1)) {
      leads.push(wanted.has(node.index) || node.inputs.some((n) => n && leads[n.index]));
    }
    for (let i = last; i >= 0; i--) {
      const { vjp, inputs, saved, addsBefore } = this.#nodes[i];
      const g = grads.get(i);
      if (!g || !vjp || !leads[i]) continue;
      const fresh = tidy(g.gpu, () => {
        const thunks = vjp(g, saved, inputs.map((n) => n && grads.get(n.index)));
        const sums: Record<number, Tensor> = {};
        inputs.forEach((n, k) => {
          if (!n || !leads[n.index]) return;
          const part = thunks[k]();
          const before = addsBefore ? undefined : sums[n.index] ?? grads.get(n.index);
          sums[n.index] = before ? accumulate(before, part) : part.alias();
        });
        return sums;
      });
      for (const [index, sum] of Object.entries(fresh)) {
        grads.get(Number(index))?.dispose();
        grads.set(Number(index), sum);
      }
      if (!wanted.has(i)) g.dispose();
    }
  }

  /** Drops every saved activation. */
  [Symbol.dispose](): void {
    for (const node of this.#nodes) node.saved.forEach((t) => t.dispose());
    this.#nodes = [];
  }
}

function accumulate(a: Tensor, b: Tensor): Tensor {
  const [sum] = run(binaryKernels.add, [a, b], {
    args: {
      n1: 1,
      n2: 1,
      n3: 1,
      n4: a.size,
      a1: 0,
      a2: 0,
      a3: 0,
      a4: 1,
      b1: 0,
      b2: 0,
      b3: 0,
      b4: 1,
    },
    dims: { n: a.size, aSize: a.size, bSize: a.size },
    shapes: { y: a.shape },
  });
  return sum;
}

function filled(gpu: Gpu, like: Tensor, value: number): Tensor {
  const dtype = floatType(like);
  const out = allocate(gpu, like.shape, dtype);
  run(fillKernel, [], { gpu, dtype, dims: { n: like.size }, args: { value }, out: { y: out } });
  return out;
}

// A handle that no tidy scope disposes: the tape owns it.
function keep(t: Tensor): Tensor {
  const handle = t.alias();
  t.gpu.scopes.at(-1)?.delete(handle);
  return handle;
}

/**
 * Records `out` on the tape of its inputs, if any is on one. `saved` are the tensors that the vjp gets back.
 *
 * @returns `out`
 */
export function record(
  out: Tensor,
  inputs: readonly (Tensor | undefined)[],
  saved: readonly Tensor[],
  vjp: Vjp,
): Tensor {
  const tape = inputs.find((t) => t?.node)?.node?.tape;
  return tape ? tape.add(out, inputs, saved, vjp) : out;
}

/** Records that `out` came from an op without a gradient, so that differentiating through it names the op. */
export function recordOpaque(out: Tensor, inputs: readonly Tensor[], op: string): Tensor {
  return record(out, inputs, [], () => {
    throw new KernelError(`Cannot differentiate through ${op}: it has no gradient`);
  });
}
