/**
 * Inception V3 as torchvision builds it (`torchvision/models/inception.py`): its stages in order, as data. Channels are not written
 * here, they follow from the shapes of the weights.
 *
 * @module
 */

/** A convolution with batch norm and ReLU. */
export interface InceptionConv {
  /** Name of the `BasicConv2d` within its stage; empty where the stage is the convolution itself. */
  readonly name: string;
  /** Rows and columns. */
  readonly kernel: readonly [rows: number, columns: number];
  /** Step between windows. */
  readonly stride: number;
  /** Zeros around the image. */
  readonly padding: readonly [rows: number, columns: number];
  /** Whether it reads means over 3×3, which count a padding of 1, in place of the map itself. */
  readonly averaged?: boolean;
}

/**
 * A step of a branch: a convolution; `max`, a maximum over 3×3 with stride 2; or convolutions that read the same map and whose outputs
 * stand side by side.
 */
export type InceptionStep = InceptionConv | "max" | readonly InceptionConv[];

/** A stage, which is a tap of torchvision's name: branches that read the same map and whose outputs stand side by side. */
export interface InceptionStage {
  /** torchvision's name. */
  readonly name: string;
  /** In the order of their channels. */
  readonly branches: readonly (readonly InceptionStep[])[];
}

/** Shortest side of an image that reaches the last stage (torchvision's `min_size`). */
export const INCEPTION_MIN_SIDE = 75;
/** Side of the images that the network was trained on. */
export const INCEPTION_SIDE = 299;

type Sides = readonly [number, number];

const conv = (
  name: string,
  kernel: number | Sides,
  { stride = 1, padding = 0 }: { stride?: number; padding?: number | Sides } = {},
): InceptionConv => ({
  name,
  kernel: typeof kernel === "number" ? [kernel, kernel] : kernel,
  stride,
  padding: typeof padding === "number" ? [padding, padding] : padding,
});

const alone = (name: string, step: InceptionStep): InceptionStage => ({ name, branches: [[step]] });
const averagedConv = (name: string): InceptionConv => ({ ...conv(name, 1), averaged: true });
const row = (name: string) => conv(name, [1, 7], { padding: [0, 3] });
const column = (name: string) => conv(name, [7, 1], { padding: [3, 0] });

/** `InceptionA`. */
const blockA = (name: string): InceptionStage => ({
  name,
  branches: [
    [conv("branch1x1", 1)],
    [conv("branch5x5_1", 1), conv("branch5x5_2", 5, { padding: 2 })],
    [
      conv("branch3x3dbl_1", 1),
      conv("branch3x3dbl_2", 3, { padding: 1 }),
      conv("branch3x3dbl_3", 3, { padding: 1 }),
    ],
    [averagedConv("branch_pool")],
  ],
});

/** `InceptionB`. */
const blockB = (name: string): InceptionStage => ({
  name,
  branches: [
    [conv("branch3x3", 3, { stride: 2 })],
    [
      conv("branch3x3dbl_1", 1),
      conv("branch3x3dbl_2", 3, { padding: 1 }),
      conv("branch3x3dbl_3", 3, { stride: 2 }),
    ],
    ["max"],
  ],
});

/** `InceptionC`. */
const blockC = (name: string): InceptionStage => ({
  name,
  branches: [
    [conv("branch1x1", 1)],
    [conv("branch7x7_1", 1), row("branch7x7_2"), column("branch7x7_3")],
    [
      conv("branch7x7dbl_1", 1),
      column("branch7x7dbl_2"),
      row("branch7x7dbl_3"),
      column("branch7x7dbl_4"),
      row("branch7x7dbl_5"),
    ],
    [averagedConv("branch_pool")],
  ],
});

/** `InceptionD`. */
const blockD = (name: string): InceptionStage => ({
  name,
  branches: [
    [conv("branch3x3_1", 1), conv("branch3x3_2", 3, { stride: 2 })],
    [
      conv("branch7x7x3_1", 1),
      row("branch7x7x3_2"),
      column("branch7x7x3_3"),
      conv("branch7x7x3_4", 3, { stride: 2 }),
    ],
    ["max"],
  ],
});

const fork = (name: string): readonly InceptionConv[] => [
  conv(`${name}a`, [1, 3], { padding: [0, 1] }),
  conv(`${name}b`, [3, 1], { padding: [1, 0] }),
];

/** `InceptionE`. */
const blockE = (name: string): InceptionStage => ({
  name,
  branches: [
    [conv("branch1x1", 1)],
    [conv("branch3x3_1", 1), fork("branch3x3_2")],
    [
      conv("branch3x3dbl_1", 1),
      conv("branch3x3dbl_2", 3, { padding: 1 }),
      fork("branch3x3dbl_3"),
    ],
    [averagedConv("branch_pool")],
  ],
});

/** The stages before `avgpool` and `fc`. */
export const inceptionStages: readonly InceptionStage[] = [
  alone("Conv2d_1a_3x3", conv("", 3, { stride: 2 })),
  alone("Conv2d_2a_3x3", conv("", 3)),
  alone("Conv2d_2b_3x3", conv("", 3, { padding: 1 })),
  alone("maxpool1", "max"),
  alone("Conv2d_3b_1x1", conv("", 1)),
  alone("Conv2d_4a_3x3", conv("", 3)),
  alone("maxpool2", "max"),
  ...["Mixed_5b", "Mixed_5c", "Mixed_5d"].map(blockA),
  blockB("Mixed_6a"),
  ...["Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"].map(blockC),
  blockD("Mixed_7a"),
  ...["Mixed_7b", "Mixed_7c"].map(blockE),
];

/** Names of the taps, in the order in which they are computed: every direct child of torchvision's module but dropout and AuxLogits. */
export const inceptionTaps: readonly string[] = [
  ...inceptionStages.map(({ name }) => name),
  "avgpool",
  "fc",
];

/** Name of a convolution in the checkpoint: what `.conv.weight` and `.bn.weight` stand after. */
export function convName(stage: InceptionStage, { name }: InceptionConv): string {
  return name === "" ? stage.name : `${stage.name}.${name}`;
}

/** The convolutions of a step. */
export function convsOf(step: InceptionStep): readonly InceptionConv[] {
  if (step === "max") return [];
  return "name" in step ? [step] : step;
}

/** Side of a map after a window, rounded down. */
export const sideAfter = (side: number, kernel: number, stride: number, padding: number) =>
  Math.floor((side + 2 * padding - kernel) / stride) + 1;

/** Height and width of a map after a stage. */
export function sizeAfter(
  { branches: [first] }: InceptionStage,
  size: readonly [height: number, width: number],
): [height: number, width: number] {
  return first.reduce<[number, number]>((from, step) => {
    const { kernel, stride, padding } = step === "max"
      ? { kernel: [3, 3], stride: 2, padding: [0, 0] }
      : convsOf(step)[0];
    return [
      sideAfter(from[0], kernel[0], stride, padding[0]),
      sideAfter(from[1], kernel[1], stride, padding[1]),
    ];
  }, [size[0], size[1]]);
}
