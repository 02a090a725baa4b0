/** Training that goes on from a network that was trained before. */

import type { StateDict } from "../io/state_dict.ts";
import { toFloat32 } from "../io/state_dict.ts";
import { mapCheckpoint } from "../models/layouts.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import { InputError } from "../errors.ts";
import type { Start } from "./train_weights.ts";

/** Tensors that no file keeps, or that a reader of files passes over. */
const NOT_KEPT = /^(mask_token$|present\.|paint_head\.|view_head\.|feat_head\.)/;

/** The parts that one of our tensors may be stored as, in a checkpoint's names: itself, or what it is packed from. */
function partsOf(name: string, has: (name: string) => boolean): string[] {
  const packed = /^(.*\.)qkv\.(weight|bias)$/.exec(name);
  if (packed && !has(name)) {
    return ["q", "k", "v"].map((part) => `${packed[1]}${part}.${packed[2]}`);
  }
  return [name.replace(/^adaptor\./, "adaptors.siglip.")];
}

/**
 * First weights with the values of a trained network in them. Tensors that no file keeps, such as heads that are thrown away, begin anew.
 *
 * @throws {InputError} when a tensor of the network is missing or has another size
 */
export function startsFrom(
  starts: ReadonlyMap<string, Start>,
  net: StateDict,
): Map<string, Start> {
  const { tensors } = mapCheckpoint(net);
  const read = (name: string): Float32Array | undefined => {
    const found = tensors.get(name);
    return found && toFloat32(found.tensor);
  };
  const [cls, pos] = [read("cls"), read("pos")];
  const joined = new Map<string, Float32Array>();
  if (cls && pos) {
    joined.set("prefix", cls.map((v, i) => v + pos[i]));
    joined.set("pos", pos.slice(cls.length));
  }
  return new Map(
    [...starts].map(([name, start]) => {
      const whole = joined.get(name);
      const parts = whole ? [whole] : partsOf(name, (key) => tensors.has(key)).map(read);
      if (!parts.every((part) => part !== undefined)) {
        if (NOT_KEPT.test(name)) return [name, start];
        throw new InputError(`Cannot go on from this network: it has no "${name}"`);
      }
      const values = Float32Array.from(parts.flatMap((part) => [...part]));
      if (values.length !== sizeOf(start.shape)) {
        throw new InputError(
          `Cannot go on from this network: "${name}" must have ${
            sizeOf(start.shape)
          } values, got ${values.length}`,
        );
      }
      return [name, { shape: start.shape, values }];
    }),
  );
}
