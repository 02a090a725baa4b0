/**
 * Layers as ONNX models of a few nodes, written byte by byte (onnx.proto of ONNX 1.16).
 *
 * @module
 */
import { NORM_EPS, NORM_GROUPS, type OpInputs, opShapes, type UnetOp } from "../unet_op.ts";

type Bytes = readonly number[] | Uint8Array;

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; bytes.length === 0 || rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(rest % 128 + (rest >= 128 ? 128 : 0));
  }
  return bytes;
}

/** Parts one after the other. */
function joined(parts: readonly Bytes[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const number = (field: number, value: number): number[] => [...varint(8 * field), ...varint(value)];
const message = (field: number, ...parts: readonly Bytes[]): Uint8Array => {
  const body = joined(parts);
  return joined([varint(8 * field + 2), varint(body.length), body]);
};
const text = (field: number, value: string) => message(field, new TextEncoder().encode(value));

const FLOAT = 1; // TensorProto.DataType
const ATTRIBUTE = { float: 1, int: 2, ints: 7 }; // AttributeProto.AttributeType

function attribute(name: string, value: number | readonly number[], isFloat = false): Uint8Array {
  const named = text(1, name);
  if (typeof value !== "number") {
    return message(5, named, ...value.map((v) => number(8, v)), number(20, ATTRIBUTE.ints));
  }
  if (!isFloat) return message(5, named, number(3, value), number(20, ATTRIBUTE.int));
  const bytes = new Uint8Array(Float32Array.of(value).buffer);
  return message(5, named, joined([varint(8 * 2 + 5), bytes]), number(20, ATTRIBUTE.float));
}

interface Node {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes?: readonly Uint8Array[];
  readonly domain?: string;
}

const nodeBytes = ({ type, inputs, output, attributes = [], domain }: Node) =>
  message(
    1,
    ...inputs.map((name) => text(1, name)),
    text(2, output),
    text(4, type),
    ...attributes,
    ...domain ? [text(7, domain)] : [],
  );

const tensor = (name: string, values: Float32Array<ArrayBuffer>, shape: readonly number[]) =>
  message(
    5,
    ...shape.map((n) => number(1, n)),
    number(2, FLOAT),
    text(8, name),
    message(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
  );

function declared(field: number, name: string, shape: readonly number[]): Uint8Array {
  const dims = message(2, ...shape.map((n) => message(1, number(1, n))));
  return message(field, text(1, name), message(2, message(1, number(1, FLOAT), dims)));
}

function nodesOf(op: UnetOp): Node[] {
  if (op.kind === "conv") {
    const attributes = [attribute("pads", [1, 1, 1, 1])];
    return [{ type: "Conv", inputs: ["x", "weight", "bias"], output: "y", attributes }];
  }
  if (op.kind === "norm") {
    const attributes = [
      attribute("num_groups", NORM_GROUPS),
      attribute("epsilon", NORM_EPS, true),
    ];
    const inputs = ["x", "weight", "bias"];
    return [
      { type: "GroupNormalization", inputs, output: "normed", attributes },
      { type: "Sigmoid", inputs: ["normed"], output: "gate" },
      { type: "Mul", inputs: ["normed", "gate"], output: "y" },
    ];
  }
  const attributes = [attribute("num_heads", op.heads)];
  const inputs = ["q", "k", "v"];
  return [{ type: "MultiHeadAttention", inputs, output: "y", attributes, domain: "com.microsoft" }];
}

/** A model of a layer: what changes from run to run are its inputs, weight and bias are within. */
export function onnxModel(op: UnetOp, inputs: OpInputs): Uint8Array {
  const { y, ...shapes } = opShapes(op);
  const isWeight = (name: string) => name === "weight" || name === "bias";
  const entries = Object.entries(shapes);
  const graph = message(
    7,
    ...nodesOf(op).map(nodeBytes),
    text(2, op.kind),
    ...entries.filter(([name]) => isWeight(name)).map(([name, shape]) =>
      tensor(name, inputs[name], shape)
    ),
    ...entries.filter(([name]) => !isWeight(name)).map(([name, shape]) =>
      declared(11, name, shape)
    ),
    declared(12, "y", y),
  );
  const opset = (domain: string, version: number) =>
    message(8, text(1, domain), number(2, version));
  return joined([number(1, 10), graph, opset("", 21), opset("com.microsoft", 1)]);
}
