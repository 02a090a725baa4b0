/**
 * The convolutions of Inception V3 on images of one size, and their operations.
 *
 * @module
 */
import type { ImageSize } from "../images/preprocess.ts";
import type { InceptionModel } from "./inception.ts";
import {
  convName,
  convsOf,
  type InceptionConv,
  inceptionStages,
  sideAfter,
} from "./inception_layout.ts";

/** A convolution on one image. */
export interface SizedConv {
  /** Its name in the checkpoint. */
  readonly name: string;
  /** Kernel, stride and padding. */
  readonly conv: InceptionConv;
  /** `[cin, height, width]` */
  readonly input: readonly [channels: number, height: number, width: number];
  /** `[cout, height, width]` */
  readonly output: readonly [channels: number, height: number, width: number];
  /** Operations, a multiply-add counting twice; those of the gradient by the input are as many. */
  readonly flops: number;
}

type MapShape = readonly [number, number, number];

/**
 * All convolutions in the order in which they are computed: 94, of 11.42·10⁹ operations at 299 pixels and torchvision's widths.
 *
 * @throws {InputError} when a side is below 75 pixels
 */
export function inceptionConvs(model: InceptionModel, size: ImageSize): SizedConv[] {
  const found: SizedConv[] = [];
  const after = (name: string, conv: InceptionConv, [cin, h, w]: MapShape): MapShape => {
    const [cout] = model.weights.get(`${name}.weight`)!.shape;
    const { kernel: [kh, kw], stride, padding } = conv;
    const output: MapShape = [
      cout,
      sideAfter(h, kh, stride, padding[0]),
      sideAfter(w, kw, stride, padding[1]),
    ];
    const flops = 2 * cin * kh * kw * output.reduce((a, b) => a * b);
    found.push({ name, conv, input: [cin, h, w], output, flops });
    return output;
  };
  let input: MapShape = [3, size.height, size.width];
  const shapes = model.tapShapes(size);
  inceptionStages.forEach((stage, i) => {
    for (const branch of stage.branches) {
      let map = input;
      for (const step of branch) {
        const outputs = convsOf(step).map((conv) => after(convName(stage, conv), conv, map));
        if (outputs.length > 0) map = outputs[0];
      }
    }
    input = shapes[i].shape;
  });
  return found;
}
