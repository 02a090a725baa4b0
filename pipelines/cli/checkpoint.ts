/**
 * `--checkpoint` of commands that go through images with a model.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { withFileErrors } from "../io/files.ts";
import { StepLog } from "../io/step_log.ts";
import { quote } from "../io/strict_json.ts";
import { digestOfModel } from "./load_model.ts";
import type { ModelCliOptions } from "./model_options.ts";
import type { PixelSource } from "./pixel_source.ts";

/** What a checkpoint belongs to. */
export interface CheckpointFacts {
  readonly gpu: Gpu;
  readonly source: PixelSource;
  /** Whatever else the results follow from, as JSON can hold it. */
  readonly options: unknown;
}

/**
 * Opens the checkpoint that the options name. It belongs to the bytes of the model, to names, sizes and times of change of the images,
 * to the options and to the adapter.
 *
 * @returns undefined where they name none
 * @throws {InputError} when the file is no checkpoint, or one of another run: it says what differs
 */
export function openCheckpoint(
  choice: ModelCliOptions & { readonly checkpoint?: string },
  { gpu, source, options }: CheckpointFacts,
): StepLog | undefined {
  const { checkpoint, out } = choice;
  if (checkpoint === undefined) return undefined;
  if (checkpoint === out) {
    throw new InputError(`Cannot keep the checkpoint in ${quote(out)}: the result goes there`);
  }
  const { n, size, names } = source;
  const images = source.files.map((path) => {
    const info = withFileErrors("read", path, () => Deno.statSync(path));
    return [path.replace(/^.*\//s, ""), info.size, info.mtime?.getTime()];
  });
  return new StepLog(checkpoint, {
    model: digestOfModel(choice),
    images: { n, size, names, images },
    options,
    adapter: [gpu.adapterName, { ...gpu.caps, features: [...gpu.caps.features] }, gpu.options],
  });
}
