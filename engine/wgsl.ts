/**
 * Reflection and composition of our narrow WGSL dialect: group 0, storage buffers first, one flat uniform `Params` last.
 * Three edits only: rewrite `const NAME: T = …;`, rewrite `alias Elem = …;`, append library files.
 *
 * @module
 */
import { KernelError } from "./errors.ts";
import type { Constants } from "../shaders/kernel.ts";

/** One field of the uniform `Params`. */
export interface ParamField {
  /** Name: a dim or an arg of the spec. */
  readonly name: string;
  /** WGSL scalar type. */
  readonly type: "u32" | "i32" | "f32";
}

/** Bindings and parameters of a WGSL file. */
export interface Reflection {
  /** Storage buffers in binding order. */
  readonly buffers: readonly { readonly name: string; readonly readOnly: boolean }[];
  /** Fields of `Params` in order; empty when there is no uniform. */
  readonly params: readonly ParamField[];
  /** True when the file declares the uniform. */
  readonly hasParams: boolean;
}

const BINDING =
  /@group\((\d+)\)\s*@binding\((\d+)\)\s*var<\s*(storage|uniform)\s*(?:,\s*(read_write|read))?\s*>\s*(\w+)\s*:/g;

/** Removes comments, so that patterns never match prose. */
export function stripComments(source: string): string {
  return source.replace(/\/\/[^\n]*/g, "").replace(/\/\*[\s\S]*?\*\//g, "");
}

/**
 * Reads the bindings and the `Params` struct of a shader.
 *
 * @throws {KernelError} when the file leaves the dialect (another group, a gap in bindings, a uniform that is not last).
 */
export function reflect(source: string, label: string): Reflection {
  const text = stripComments(source);
  const found = [...text.matchAll(BINDING)].map((m) => ({
    group: Number(m[1]),
    binding: Number(m[2]),
    space: m[3],
    readOnly: m[4] !== "read_write",
    name: m[5],
  })).sort((a, b) => a.binding - b.binding);
  found.forEach((b, i) => {
    const uniformNotLast = b.space === "uniform" && i !== found.length - 1;
    if (b.group !== 0 || b.binding !== i || uniformNotLast) {
      throw new KernelError(
        `Cannot reflect "${label}": bindings must be group 0, numbered from 0, uniform last; got group ${b.group} binding ${b.binding} for ${b.name}`,
      );
    }
  });
  const hasParams = found.at(-1)?.space === "uniform";
  const body = text.match(/struct Params\s*\{([^}]*)\}/)?.[1] ?? "";
  const params = [...body.matchAll(/(\w+)\s*:\s*(\w+)/g)].map((m) => {
    if (m[2] !== "u32" && m[2] !== "i32" && m[2] !== "f32") {
      throw new KernelError(
        `Cannot reflect "${label}": Params fields must be u32, i32 or f32, got ${m[1]}: ${m[2]}`,
      );
    }
    return { name: m[1], type: m[2] as ParamField["type"] };
  });
  const buffers = found.filter((b) => b.space === "storage").map(({ name, readOnly }) => ({
    name,
    readOnly,
  }));
  return { buffers, params, hasParams };
}

/** What `Elem` may stand for. */
export type ElemType = "f32" | "f16" | "f64" | "u32" | "i32";

/** What {@link compose} puts together. */
export interface Composition {
  /** Name for error messages. */
  readonly label: string;
  /** Text of the WGSL file. */
  readonly source: string;
  /** Library files appended to it. */
  readonly lib?: readonly string[];
  /** Values for `const NAME` lines. */
  readonly constants: Constants;
  /** Storage type of `Elem` buffers. */
  readonly elem: ElemType;
  /** `enable` lines that the backend wants. */
  readonly enables: readonly string[];
}

/**
 * The text that is compiled.
 *
 * @throws {KernelError} when a constant has no line in the file or is not a finite number.
 */
export function compose(
  { label, source, lib = [], constants, elem, enables }: Composition,
): string {
  let text = [source, ...lib].join("\n");
  for (const [name, value] of Object.entries(constants)) {
    const line = new RegExp(`^const ${name}: (u32|i32|f32|bool) = [^;]*;`, "m");
    const type = text.match(line)?.[1];
    if (!type || !Number.isFinite(value)) {
      throw new KernelError(
        `Cannot compose "${label}": constant ${name} = ${value} needs a line "const ${name}: <type> = …;" and a finite value`,
      );
    }
    text = text.replace(line, `const ${name}: ${type} = ${literal(type, value)};`);
  }
  text = text.replace(/^alias Elem = f32;/m, `alias Elem = ${elem};`);
  return enables.map((name) => `enable ${name};\n`).join("") + text;
}

function literal(type: string, value: number): string {
  if (type === "bool") return value ? "true" : "false";
  if (type === "f32") return /[.e]/.test(`${value}`) ? `${value}f` : `${value}.0f`;
  return type === "u32" ? `${value}u` : `${value}i`;
}
