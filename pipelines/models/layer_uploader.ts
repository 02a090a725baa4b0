/**
 * Uploads the layers of a UNet as they are read.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { PreparedWeights } from "../../engine/ops/prepared_weights.ts";
import { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { CheckpointReader } from "./checkpoint_reader.ts";
import { listNames } from "./layouts.ts";
import type { BiasedLayer, Norm } from "./unet_layers.ts";
import { own } from "./vit_weights.ts";

/** A tenth of a pass costs so much memory at most, on adapters that take convolutions by products at points. */
const MAX_PREPARED_BYTES = 1 << 29;

/** Uploads tensors as it reads them; whoever reads frees them where one is refused. */
export class LayerUploader {
  /** All that was uploaded. */
  readonly tensors: Tensor[] = [];
  /** Trained values that were read. */
  parameters = 0;
  /** Forms of the weights of convolutions. */
  readonly prepared: PreparedWeights = new PreparedWeights({ maxBytes: MAX_PREPARED_BYTES });

  constructor(readonly gpu: Gpu, readonly reader: CheckpointReader) {}

  /** Values that were read, on the device. */
  put(values: Float32Array<ArrayBuffer>, shape: readonly number[]): Tensor {
    const tensor = own(Tensor.from(this.gpu, values, shape));
    this.tensors.push(tensor);
    this.parameters += values.length;
    return tensor;
  }

  /** A tensor of the file. */
  tensor(name: string, shape: readonly number[]): Tensor {
    return this.put(this.reader.values(name, shape), shape);
  }

  /** Weight and bias. */
  layer(name: string, shape: readonly number[]): BiasedLayer {
    return {
      weight: this.tensor(`${name}.weight`, shape),
      bias: this.tensor(`${name}.bias`, [shape[0]]),
      prepared: this.prepared,
    };
  }

  /** Weight and bias of a group norm. */
  norm(name: string, channels: number, facts: Pick<Norm, "groups" | "eps">): Norm {
    return { ...this.layer(name, [channels]), ...facts };
  }

  /** Frees everything. */
  dispose(): void {
    this.prepared[Symbol.dispose]();
    this.tensors.forEach((tensor) => tensor.dispose());
  }
}

/**
 * Makes a network of what an uploader reads, and waits until the device has taken it; nothing stays there where that fails.
 *
 * @param options.strict whether keys with the network's beginning that it did not read are refused
 * @throws {InputError} when such keys are left, and what `make` throws
 */
export async function loadWhole<U extends LayerUploader, M>(
  uploader: U,
  make: (uploader: U) => M,
  { strict = true }: { readonly strict?: boolean },
): Promise<M> {
  const { gpu, reader } = uploader;
  try {
    const model = make(uploader);
    const unknown = reader.rest(/$^/)[1].filter((key) => key.startsWith(reader.prefix));
    if (strict && unknown.length > 0) {
      throw new InputError(
        `${reader.cannot} it has keys that are not of the network: ${listNames(unknown)}`,
      );
    }
    await gpu.settled(); // an upload that the device refused
    return model;
  } catch (cause) {
    uploader.dispose();
    throw cause;
  }
}
