/**
 * GIFTI, the surfaces of Connectome Workbench and most others: XML with arrays in it
 * (https://www.nitrc.org/projects/gifti, "GIFTI Surface Data Format", version 1.0).
 *
 * @module
 */
import { unzipSync } from "node:zlib";
import type { XmlElement } from "@rgrove/parse-xml";
import { InputError } from "../errors.ts";
import { MAX_INFLATION } from "./gzip.ts";
import { swapBytes } from "./nifti.ts";
import {
  dtypeBytes,
  type HostDType,
  type HostTensor,
  hostTensor,
  shapeSize,
} from "./state_dict.ts";
import { quote } from "./strict_json.ts";

/** One array of a GIFTI file. */
export interface GiftiArray {
  /** What it means, as NIfTI names it: `NIFTI_INTENT_POINTSET`, `NIFTI_INTENT_TRIANGLE`, `NIFTI_INTENT_SHAPE`. */
  readonly intent: string;
  /** The elements in C order. */
  readonly tensor: HostTensor;
  /** Coordinate systems of a point set. */
  readonly transforms: readonly GiftiTransform[];
}

/** How points move from one coordinate system to another. */
export interface GiftiTransform {
  /** Where the points are, `NIFTI_XFORM_UNKNOWN`. */
  readonly from: string;
  /** Where the matrix takes them, `NIFTI_XFORM_SCANNER_ANAT`. */
  readonly to: string;
  /** `[4, 4]` in C order. */
  readonly matrix: readonly number[];
}

const DTYPES: Readonly<Record<string, HostDType>> = {
  NIFTI_TYPE_UINT8: "u8",
  NIFTI_TYPE_INT32: "i32",
  NIFTI_TYPE_FLOAT32: "f32",
  // Not of the standard, written by some.
  NIFTI_TYPE_INT16: "i16",
  NIFTI_TYPE_UINT32: "u32",
  NIFTI_TYPE_FLOAT64: "f64",
};

/** Older names of values, which files still have. */
const OLD_NAMES: Readonly<Record<string, string>> = {
  GIFTI_ENCODING_ASCII: "ASCII",
  GIFTI_ENCODING_B64BIN: "Base64Binary",
  GIFTI_ENCODING_B64GZ: "GZipBase64Binary",
  GIFTI_ENDIAN_LITTLE: "LittleEndian",
  GIFTI_ENDIAN_BIG: "BigEndian",
};

/** Longest text that is parsed: V8 has no strings above 2²⁹ − 24. */
const MAX_TEXT_BYTES = 2 ** 28;

function children(element: XmlElement, name: string): XmlElement[] {
  return element.children.filter((node): node is XmlElement =>
    node.type === "element" && (node as XmlElement).name === name
  );
}

/** One of the values that an attribute may have. */
function choice<T extends string>(
  element: XmlElement,
  name: string,
  { values, cannot }: { readonly values: readonly T[]; readonly cannot: string },
): T {
  const given = element.attributes[name];
  const found = values.find((value) => value === given || value === OLD_NAMES[given ?? ""]);
  if (found === undefined) {
    throw new InputError(
      `${cannot} ${name} must be ${values.join(", ")}, is ${
        given === undefined ? "missing" : quote(given)
      }`,
    );
  }
  return found;
}

/** The numbers of a text, which must be as many as are needed. */
function numbers(text: string, count: number, cannot: string): number[] {
  const parts = text.trim().split(/\s+/);
  if (parts.length !== count) {
    throw new InputError(`${cannot} it needs ${count} numbers, has ${parts.length}`);
  }
  return parts.map((part) => {
    const value = /^[-+]?nan$/i.test(part)
      ? NaN
      : Number(part.replace(/^([-+]?)inf(inity)?$/i, "$1Infinity"));
    if (Number.isNaN(value) && !/nan$/i.test(part)) {
      throw new InputError(`${cannot} ${quote(part)} is no number`);
    }
    return value;
  });
}

/** Numbers of a text as elements of a type. */
function asciiTensor(
  text: string,
  { dtype, shape, cannot }: {
    readonly dtype: HostDType;
    readonly shape: readonly number[];
    readonly cannot: string;
  },
): HostTensor {
  const values = numbers(text, shapeSize(shape)!, cannot);
  if (dtype === "f32") return hostTensor(Float32Array.from(values), shape);
  if (dtype === "f64") return hostTensor(Float64Array.from(values), shape);
  const array = dtype === "u8"
    ? Uint8Array.from(values)
    : dtype === "i16"
    ? Int16Array.from(values)
    : dtype === "u32"
    ? Uint32Array.from(values)
    : Int32Array.from(values);
  const wrong = array.findIndex((value, i) => value !== values[i]);
  if (wrong >= 0) throw new InputError(`${cannot} ${values[wrong]} is no ${dtype}`);
  return hostTensor(array, shape);
}

/** The bytes of base64 text, unpacked where they are packed, which must be as many as are needed. */
function binary(
  text: string,
  { length, packed, cannot }: {
    readonly length: number;
    readonly packed: boolean;
    readonly cannot: string;
  },
): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Uint8Array.fromBase64(text);
  } catch (cause) {
    throw new InputError(`${cannot} it is not base64`, { cause });
  }
  if (packed) {
    if (length > bytes.length * MAX_INFLATION) {
      throw new InputError(`${cannot} it needs ${length} bytes, has ${bytes.length} packed`);
    }
    try {
      // zlib's own format, whatever the name of the encoding says; gzip's is taken too.
      bytes = new Uint8Array(unzipSync(bytes, { maxOutputLength: Math.max(1, length) }));
    } catch (cause) {
      throw new InputError(
        `${cannot} its packed data is damaged, cut off, or more than ${length} bytes`,
        { cause },
      );
    }
  }
  if (bytes.length !== length) {
    throw new InputError(`${cannot} it needs ${length} bytes, has ${bytes.length}`);
  }
  return bytes;
}

/** Elements stored column by column, row by row. */
function fromColumnMajor(tensor: HostTensor): HostTensor {
  const { dtype, shape, bytes } = tensor;
  const width = dtypeBytes[dtype];
  const moved = new Uint8Array(bytes.length);
  const index = shape.map(() => 0);
  for (let at = 0; at < bytes.length; at += width) {
    // `index` counts with the first axis fastest; its place in C order:
    const place = index.reduce((sum, i, axis) => sum * shape[axis] + i, 0);
    moved.set(bytes.subarray(at, at + width), place * width);
    for (let axis = 0; axis < index.length && ++index[axis] === shape[axis]; axis++) {
      index[axis] = 0;
    }
  }
  return { dtype, shape, bytes: moved };
}

function readTransform(element: XmlElement, cannot: string): GiftiTransform {
  const text = (name: string) => children(element, name)[0]?.text.trim() ?? "";
  return {
    from: text("DataSpace"),
    to: text("TransformedSpace"),
    matrix: numbers(text("MatrixData"), 16, `${cannot} its coordinate matrix:`),
  };
}

function readArray(element: XmlElement, cannot: string): GiftiArray {
  const { attributes } = element;
  const among = <T extends string>(name: string, values: readonly T[]) =>
    choice(element, name, { values, cannot });
  const dtype = DTYPES[among("DataType", Object.keys(DTYPES))];
  const encoding = among("Encoding", ["ASCII", "Base64Binary", "GZipBase64Binary"]);
  const order = among("ArrayIndexingOrder", ["RowMajorOrder", "ColumnMajorOrder"]);
  const nAxes = Number(attributes.Dimensionality);
  const isSane = Number.isInteger(nAxes) && nAxes >= 1 && nAxes <= 6;
  const shape = Array.from({ length: isSane ? nAxes : 0 }, (_, i) => Number(attributes[`Dim${i}`]));
  const size = shapeSize(shape);
  if (!isSane || size === undefined) {
    throw new InputError(
      `${cannot} its axes must be 1 to 6 whole numbers, are ${
        quote(attributes.Dimensionality)
      } [${shape}]`,
    );
  }
  const text = children(element, "Data")[0]?.text ?? "";
  const transforms = children(element, "CoordinateSystemTransformMatrix")
    .map((own) => readTransform(own, cannot));
  const intent = attributes.Intent ?? "";
  let tensor: HostTensor;
  if (encoding === "ASCII") {
    tensor = asciiTensor(text, { dtype, shape, cannot });
  } else {
    const width = dtypeBytes[dtype];
    const packed = encoding === "GZipBase64Binary";
    const bytes = binary(text, { length: size * width, packed, cannot });
    if (among("Endian", ["LittleEndian", "BigEndian"]) === "BigEndian") swapBytes(bytes, width);
    tensor = { dtype, shape, bytes };
  }
  return {
    intent,
    transforms,
    tensor: order === "ColumnMajorOrder" ? fromColumnMajor(tensor) : tensor,
  };
}

/**
 * The arrays of a GIFTI file, in its order. Data in other files (`ExternalFileBinary`) are not read.
 *
 * @param cannot the beginning of error sentences, "Cannot read …:"
 * @throws {InputError} when it is not XML or not GIFTI, or an array is damaged or not as long as it says
 */
export async function parseGifti(
  bytes: Uint8Array<ArrayBuffer>,
  cannot: string,
): Promise<GiftiArray[]> {
  if (bytes.length > MAX_TEXT_BYTES) {
    throw new InputError(
      `${cannot} it has ${bytes.length} bytes, at most ${MAX_TEXT_BYTES} are read`,
    );
  }
  const { parseXml } = await import("@rgrove/parse-xml");
  let root: XmlElement | null;
  try {
    root = parseXml(new TextDecoder("utf-8", { fatal: true }).decode(bytes)).root;
  } catch (cause) {
    const [reason] = (cause instanceof Error ? cause.message : String(cause)).split("\n");
    throw new InputError(`${cannot} it is not well-formed XML: ${reason}`, { cause });
  }
  if (root?.name !== "GIFTI") {
    throw new InputError(`${cannot} its XML is ${quote(root?.name)}, not GIFTI`);
  }
  return children(root, "DataArray").map((element, i) =>
    readArray(element, `${cannot} array ${i}:`)
  );
}
