/**
 * Entries of a configuration, read by any of their spellings and checked.
 *
 * @module
 */
import type { Activation } from "../../shaders/elementwise/unary.ts";
import { InputError } from "../errors.ts";

const activationNames: Readonly<Record<string, Activation>> = {
  quick_gelu: "quickGelu",
  quickGelu: "quickGelu",
  gelu: "gelu",
  gelu_new: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
  gelu_tanh: "geluTanh",
  geluTanh: "geluTanh",
  relu: "relu",
  silu: "silu",
  swish: "silu",
};

/** A JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** True for a JSON object. */
export function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads the first of several spellings of an entry, checked. */
export class Entries {
  constructor(readonly json: Json, readonly where: string) {}

  #first(names: readonly string[]): [string, unknown] | undefined {
    const name = names.find((n) => this.json[n] !== undefined && this.json[n] !== null);
    return name === undefined ? undefined : [name, this.json[name]];
  }

  #fail(name: string, rule: string, value: unknown): never {
    throw new InputError(
      `Cannot use the model configuration: "${this.where}${name}" must be ${rule}, got ${
        JSON.stringify(value)
      }`,
    );
  }

  count(...names: string[]): number | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const [name, value] = found;
    if (!Number.isInteger(value) || (value as number) < 1) {
      this.#fail(name, "a whole number from 1", value);
    }
    return value as number;
  }

  index(...names: string[]): number | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const [name, value] = found;
    if (!Number.isInteger(value) || (value as number) < 0) {
      this.#fail(name, "a whole number from 0", value);
    }
    return value as number;
  }

  positive(...names: string[]): number | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const [name, value] = found;
    if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value)) {
      this.#fail(name, "a number above 0", value);
    }
    return value;
  }

  flag(...names: string[]): boolean | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    if (typeof found[1] !== "boolean") this.#fail(found[0], "true or false", found[1]);
    return found[1];
  }

  text(...names: string[]): string | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    if (typeof found[1] !== "string") this.#fail(found[0], "a string", found[1]);
    return found[1];
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const value = this.text(name);
    if (value !== undefined && !allowed.includes(value as T)) {
      this.#fail(name, `one of ${allowed.join(", ")}`, value);
    }
    return value as T | undefined;
  }

  activation(...names: string[]): Activation | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const known = typeof found[1] === "string" ? activationNames[found[1]] : undefined;
    return known ?? this.#fail(found[0], `one of ${Object.keys(activationNames)}`, found[1]);
  }

  indices(...names: string[]): number[] | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const [name, value] = found;
    if (!Array.isArray(value) || !value.every((v) => Number.isInteger(v) && v >= 0)) {
      this.#fail(name, "a list of whole numbers from 0", value);
    }
    return value as number[];
  }

  /** One side or `[rows, columns]`. */
  sides(...names: string[]): readonly [number, number] | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const value = typeof found[1] === "number" ? [found[1], found[1]] : found[1];
    if (
      !Array.isArray(value) || value.length !== 2 ||
      !value.every((v) => Number.isInteger(v) && v > 0)
    ) this.#fail(found[0], "a whole number or a list of two", found[1]);
    return [value[0], value[1]];
  }

  section(...names: string[]): Entries | undefined {
    const found = this.#first(names);
    return found && isJson(found[1])
      ? new Entries(found[1], `${this.where}${found[0]}.`)
      : undefined;
  }
}

/** Options that all convolutional networks with batch norms have. */
export interface ConvOptions {
  readonly dtype?: "f32" | "f16";
  readonly eps?: number;
  readonly prefix?: string;
  readonly strict?: boolean;
}

/**
 * Reads options of a convolutional network by our names or its library's, and gives the entries for those of its own.
 *
 * @param config an object, or nothing
 * @throws {InputError} when it is neither, or an entry has the wrong type
 */
export function readConvOptions(config: unknown): [entries: Entries, shared: ConvOptions] {
  const json = config ?? {};
  if (!isJson(json)) {
    throw new InputError(
      `Cannot use the model configuration: it must be an object, got ${JSON.stringify(config)}`,
    );
  }
  const entries = new Entries(json, "");
  return [entries, {
    // Hugging Face says by "dtype" of what type a file's numbers are
    dtype: /^b?float\d+$/.test(String(json.dtype))
      ? undefined
      : entries.oneOf("dtype", ["f32", "f16"]),
    eps: entries.positive("eps", "bn_eps"),
    prefix: entries.text("prefix"),
    strict: entries.flag("strict"),
  }];
}
