/**
 * Weights of Inception V3 at torchvision's widths, as good as random: what is timed does not depend on their values.
 *
 * @module
 */
import { type Key, normal } from "../engine/random.ts";
import { type HostTensor, hostTensor, type StateDict } from "../pipelines/io/state_dict.ts";
import { convName, convsOf, inceptionStages } from "../pipelines/models/inception_layout.ts";

/** Channels of the convolutions, by the ends of their names, the later the more special (`torchvision/models/inception.py`). */
const WIDTHS: readonly (readonly [name: RegExp, cout: number])[] = [
  [/^Conv2d_[12]a/, 32],
  [/^Conv2d_2b/, 64],
  [/^Conv2d_3b/, 80],
  [/^Conv2d_4a/, 192],
  [/^Mixed_5\w\.branch(1x1|5x5_2|3x3dbl_1|_pool)$/, 64],
  [/^Mixed_5\w\.branch5x5_1$/, 48],
  [/^Mixed_5\w\.branch3x3dbl_[23]$/, 96],
  [/^Mixed_5b\.branch_pool$/, 32],
  [/^Mixed_6a\.branch3x3$/, 384],
  [/^Mixed_6a\.branch3x3dbl_1$/, 64],
  [/^Mixed_6a\.branch3x3dbl_[23]$/, 96],
  [/^Mixed_6[b-e]\./, 192],
  [/^Mixed_6b\.branch7x7(_[12]|dbl_[1-4])$/, 128],
  [/^Mixed_6[cd]\.branch7x7(_[12]|dbl_[1-4])$/, 160],
  [/^Mixed_7a\./, 192],
  [/^Mixed_7a\.branch3x3_2$/, 320],
  [/^Mixed_7[bc]\./, 384],
  [/^Mixed_7[bc]\.branch1x1$/, 320],
  [/^Mixed_7[bc]\.branch3x3dbl_1$/, 448],
  [/^Mixed_7[bc]\.branch_pool$/, 192],
];

/** How many normals are drawn; the weights repeat them. */
const DRAWS = 1 << 16;

/** A state dict of torchvision's network, of its widths over `divisor` (1, 2, 4, 8 or 16). */
export function makeInceptionWeights(key: Key, divisor = 1): StateDict {
  const draws = normal(key, DRAWS);
  const dict = new Map<string, HostTensor>();
  const fill = (name: string, shape: readonly number[], value: number) => {
    dict.set(
      name,
      hostTensor(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value), shape),
    );
  };
  const put = (name: string, shape: readonly number[], spread: number) => {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const scaled = draws.map((v) => spread * v);
    for (let at = 0; at < values.length; at += DRAWS) {
      values.set(scaled.subarray(0, values.length - at), at);
    }
    dict.set(name, hostTensor(values, shape));
  };
  let cin = 3;
  for (const stage of inceptionStages) {
    let cout = 0;
    for (const branch of stage.branches) {
      let channels = cin;
      for (const step of branch) {
        const from = channels;
        const convs = convsOf(step);
        if (convs.length > 0) channels = 0;
        for (const conv of convs) {
          const name = convName(stage, conv);
          const width = WIDTHS.findLast(([pattern]) => pattern.test(name))![1] / divisor;
          const shape = [width, from, ...conv.kernel];
          const spread = Math.sqrt(2 / (from * conv.kernel[0] * conv.kernel[1]));
          put(`${name}.conv.weight`, shape, spread);
          const norm = { weight: 1, bias: 0.1, running_mean: 0, running_var: 1 };
          for (const [part, value] of Object.entries(norm)) {
            fill(`${name}.bn.${part}`, [width], value);
          }
          channels += width;
        }
      }
      cout += channels;
    }
    cin = cout;
  }
  put("fc.weight", [1000, cin], 1 / Math.sqrt(cin));
  fill("fc.bias", [1000], 0);
  return dict;
}
