/**
 * What is particular to AM-RADIO: adaptor heads into the spaces of its teachers, and which class token belongs to whom.
 *
 * @module
 */
import { add, gelu, relu } from "../../engine/ops/elementwise.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { layerNorm } from "../../engine/ops/norm.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { toFloat32 } from "../io/state_dict.ts";
import { listNames } from "./layouts.ts";
import type { ShapeReader } from "./vit_config.ts";
import type { ModelDescription } from "./vit_options.ts";
import type { Weights } from "./vit_weights.ts";

/** Eps of the layer norms of RADIO's heads, PyTorch's default. */
const HEAD_EPS = 1e-5;

function layer(weights: Weights, name: string, x: Tensor): Tensor {
  return linear(x, weights.get(`${name}.weight`)!, { bias: weights.get(`${name}.bias`) });
}

function headNorm(weights: Weights, name: string, x: Tensor): Tensor {
  const bias = weights.get(`${name}.bias`)!;
  return layerNorm(x, weights.get(`${name}.weight`)!, bias, { eps: HEAD_EPS });
}

/**
 * RADIO's head MLP on `[…, width]`, in the two forms of `adaptor_mlp.py`: the first version has `fc2`, the second residual blocks
 * and `final`.
 */
export function adaptorHead(weights: Weights, x: Tensor): Tensor {
  const has = (name: string) => weights.has(`adaptor.${name}.weight`);
  const run = (name: string, h: Tensor) => layer(weights, `adaptor.${name}`, h);
  const normed = (name: string, h: Tensor) => headNorm(weights, `adaptor.${name}`, h);
  if (has("fc2")) {
    let h = relu(normed("norm", run("fc1", x)));
    for (let i = 0; has(`inner.${i}`); i += 3) {
      h = relu(normed(`inner.${i + 1}`, run(`inner.${i}`, h)));
    }
    return run("fc2", h);
  }
  let h = run("fc1", has("pre_norm.0") ? gelu(normed("pre_norm.0", x)) : x);
  for (let i = 0; has(`blocks.${i}.2`); i++) {
    h = add(h, run(`blocks.${i}.2`, gelu(normed(`blocks.${i}.0`, h))));
  }
  return run("final.2", gelu(normed("final.0", h)));
}

/** Names and shapes of a head, in the version that its keys show. */
function headTensors(has: (name: string) => boolean, shapeOf: (name: string) => readonly number[]) {
  const [hidden = 0, inner = 0] = shapeOf("fc1.weight");
  const isSecond = ["final.0.weight", "final.2.weight", "blocks.0.2.weight", "pre_norm.0.weight"]
    .some(has);
  const last = isSecond ? "final.2" : "fc2";
  const [output = 0] = shapeOf(`${last}.weight`);
  const wanted: [string, number, number?][] = [["fc1", hidden, inner], [last, output, hidden]];
  if (isSecond) {
    if (has("pre_norm.0.weight")) wanted.push(["pre_norm.0", inner]);
    for (let i = 0; has(`blocks.${i}.0.weight`) || has(`blocks.${i}.2.weight`); i++) {
      wanted.push([`blocks.${i}.0`, hidden], [`blocks.${i}.2`, hidden, hidden]);
    }
    wanted.push(["final.0", hidden]);
  } else {
    for (let i = 0; has(`inner.${i}.weight`); i += 3) {
      wanted.push([`inner.${i}`, hidden, hidden], [`inner.${i + 1}`, hidden]);
    }
    wanted.push(["norm", hidden]);
  }
  return wanted.flatMap(([name, out, columns]) => [
    { name: `${name}.weight`, shape: columns === undefined ? [out] : [out, columns] },
    { name: `${name}.bias`, shape: [out] },
  ]);
}

/** Checks that a head is whole and fits the width of the tokens. */
function checkHead(reader: ShapeReader, adaptor: string, width: number): void {
  const root = `adaptors.${adaptor}.`;
  const tensors = [...reader.checkpoint.tensors].filter(([name]) => name.startsWith(root));
  const has = (name: string) => reader.has(root + name);
  const wanted = headTensors(has, (name) => reader.shape(root + name) ?? []);
  const missing = wanted.filter((w) => !has(w.name)).map((w) => w.name);
  const unknown = tensors.filter(([name]) => !wanted.some((w) => root + w.name === name));
  if (missing.length > 0 || unknown.length > 0) {
    throw new InputError(
      `Cannot use the adaptor "${adaptor}": missing ${listNames(missing)}; found ${
        listNames(tensors.map(([, t]) => t.source))
      }`,
    );
  }
  for (const { name, shape } of wanted) {
    const expected = name === "fc1.weight" ? [shape[0], width] : shape;
    const found = reader.shape(root + name)!;
    if (`${found}` !== `${expected}`) {
      throw new InputError(
        `Cannot use the adaptor "${adaptor}": "${
          reader.checkpoint.tensors.get(root + name)!.source
        }" must be [${expected}], got [${found}]`,
      );
    }
  }
}

/** An adaptor head. */
export interface Adaptor {
  /** Name of the teacher, or the head's number where nobody says whose it is. */
  readonly name: string;
  /** What the checkpoint calls it: the teacher's name or its number. */
  readonly key: string;
}

/**
 * The adaptor head to use, of those that the checkpoint has.
 *
 * @throws {InputError} when it is not there, not whole or of other sizes
 */
export function chooseAdaptor(
  reader: ShapeReader,
  { said, width }: { said: ModelDescription; width: number },
): Adaptor | undefined {
  if (said.adaptor === false) return undefined;
  const found = new Set<string>();
  for (const name of reader.checkpoint.tensors.keys()) {
    const match = /^adaptors\.([^.]+)\./.exec(name);
    if (match) found.add(match[1]);
  }
  // older checkpoints number their heads as the configuration lists the teachers (`hubconf.py`)
  const name = said.adaptor ?? "siglip";
  const key = [name, String(said.teachers?.indexOf(name))].find((k) => found.has(k));
  if (key === undefined) {
    if (said.adaptor === undefined) return undefined;
    throw new InputError(
      `Cannot use the adaptor "${name}": the checkpoint has ${[...found].join(", ") || "none"}`,
    );
  }
  checkHead(reader, key, width);
  return { name, key };
}

function summaryOf({ checkpoint }: ShapeReader): number[] | undefined {
  const found = checkpoint.tensors.get("summary_indices");
  return found && [...toFloat32(found.tensor)];
}

/** Class tokens of the released models, one per teacher (`radio/common.py`, v2.5): CLIP, SigLIP, DINOv2, SAM. */
const radioTeachers = ["clip", "siglip", "dino_v2", "sam"];

/** The class token that a teacher's head reads; a head that has but a number is that of the teacher with that number. */
function slotOf(adaptor: string, { adaptorSlots }: ModelDescription): number {
  const usual = /^\d+$/.test(adaptor) ? Number(adaptor) : radioTeachers.indexOf(adaptor);
  return adaptorSlots?.[adaptor] ?? Math.max(0, usual);
}

/**
 * Class tokens of RADIO's summary and of the adaptor: what the user, the configuration, the file or the released models say.
 *
 * @throws {InputError} when the model has no such token
 */
export function radioTokens(
  reader: ShapeReader,
  { prefixTokens, said, adaptor }: {
    prefixTokens: number;
    said: ModelDescription;
    adaptor?: Adaptor;
  },
): { summaryTokens: readonly number[]; adaptorToken?: number } {
  // a DINOv2 inside has one class token, the summary and the input of every head (`_forward_cpe_dinov2`)
  const patch = reader.checkpoint.tensors.get("patch.weight")?.source ?? "";
  if (/(^|\.)inner\./.test(patch)) return { summaryTokens: [0], adaptorToken: adaptor && 0 };
  // v2.5: four class tokens, of which SAM's is no part of the summary, and four registers
  const known = said.registers === undefined ? undefined : prefixTokens - said.registers;
  const classes = said.classTokens ?? known ?? (prefixTokens === 8 ? 3 : prefixTokens);
  const all = Array.from({ length: classes }, (_, i) => i);
  const summaryTokens = said.summaryTokens ?? summaryOf(reader) ?? all;
  const adaptorToken = adaptor && (said.adaptorToken ?? slotOf(adaptor.name, said));
  const bad = [...summaryTokens, adaptorToken ?? 0].find((i) => i >= prefixTokens);
  if (bad !== undefined || summaryTokens.length === 0) {
    throw new InputError(
      `Cannot use class token ${bad ?? "none"} of RADIO: ` +
        `there must be at least one, and the checkpoint has ${prefixTokens} prefix tokens`,
    );
  }
  return { summaryTokens, adaptorToken };
}
