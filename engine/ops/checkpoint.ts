import { Tape, type Vjp } from "../tape.ts";
import { type Tensor, tidy } from "../tensor.ts";

/**
 * Runs `fn` without saving its activations; the backward pass computes them again, to the same bits. `fn` must be a pure function of its
 * arguments, which are different tensors: what it takes from elsewhere gets no gradient.
 */
export function checkpoint(fn: (...xs: Tensor[]) => Tensor, ...xs: Tensor[]): Tensor {
  const onTape = xs.map((x) => x.node !== undefined);
  const out = tidy(xs[0].gpu, () => fn(...xs.map((x) => x.detach())).detach());
  const tape = xs.find((x) => x.node)?.node?.tape;
  if (!tape) return out;
  const vjp: Vjp = (g, saved, before) => {
    let grads: Tensor[] | undefined;
    const recompute = () =>
      tidy(g.gpu, () => {
        using inner = new Tape();
        const watched = saved.map((x, i) => onTape[i] ? inner.watch(x) : x);
        const again = fn(...watched);
        return inner.gradient(again, watched.filter((w) => w.node), {
          seed: g,
          before: before.filter((_, i) => onTape[i]),
        });
      });
    return xs.map((_, i) => () => {
      grads ??= recompute();
      return grads[onTape.slice(0, i).filter(Boolean).length];
    });
  };
  return tape.add(out, xs, xs, vjp, true);
}
