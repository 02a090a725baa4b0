/**
 * Checkpoints of `torch.save`. The files in `golden/torch` were written by CPython's own pickler and zipfile, with PyTorch's classes
 * by name, in the layout of `torch/serialization.py`; the hostile ones are written here, byte by byte.
 */
import assert from "node:assert/strict";
import { randomKey } from "../../engine/random.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { openSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { type HostTensor, hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { gyrus } from "../console.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";
import { TinyInception } from "./inception_reference.ts";

const golden = (name: string) => new URL(`../golden/torch/${name}.pth`, import.meta.url).pathname;

const halves = Array.from({ length: 12 }, (_, i) => i / 2);

for (const name of ["zip", "training", "legacy"]) {
  Deno.test(`openSafetensors() reads the state dict of a file of torch.save: ${name}`, () => {
    using checkpoint = openSafetensors(golden(name));
    const { tensors } = checkpoint;
    const found = [...tensors].map(([key, { dtype, shape }]) => [key, dtype, shape]);
    assert.deepEqual(found, [
      ["w", "f32", [2, 3]],
      ["w.t", "f32", [3, 2]],
      ["half", "f16", [4]],
      ["bn.num_batches_tracked", "i64", []],
      ["empty", "f16", [0, 3]],
    ]);
    const values = (key: string) => [...toFloat32(tensors.get(key)!)];
    assert.deepEqual(values("w"), halves.slice(0, 6));
    assert.deepEqual(values("w.t"), [3, 4.5, 3.5, 5, 4, 5.5]); // a transposed view of the same values
    assert.deepEqual([...tensors.get("w.t")!.readBytes(4, 8)], [0, 0, 0x90, 0x40]);
    assert.deepEqual(values("half"), [1, -2, 0.5, 65504]);
    assert.deepEqual(values("bn.num_batches_tracked"), [7]);
    assert.deepEqual(values("empty"), []);
  });
}

/** A ZIP archive of stored files; a large one has all sizes in the fields for what does not fit 32 bits. */
function zip(files: Readonly<Record<string, Uint8Array | string>>, { large = false } = {}) {
  const parts: number[] = [], directory: number[] = [];
  const u16 = (v: number) => [v & 255, v >> 8 & 255];
  const u32 = (v: number) => [...u16(v % 65536), ...u16(Math.floor(v / 65536) % 65536)];
  const u64 = (v: number) => [...u32(v % 2 ** 32), ...u32(Math.floor(v / 2 ** 32))];
  for (const [name, content] of Object.entries(files)) {
    const data = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const key = [...new TextEncoder().encode(name)];
    const at = parts.length;
    const padding = (64 - (at + 30 + key.length + 4) % 64) % 64; // torch aligns values to 64 bytes
    const head = [...u16(20), ...u16(0), ...u16(0), ...u32(0), ...u32(0)];
    parts.push(...u32(0x04034b50), ...head, ...u32(data.length), ...u32(data.length));
    parts.push(...u16(key.length), ...u16(4 + padding), ...key, 0x46, 0x42, ...u16(padding));
    parts.push(...new Array(padding).fill(0x5a), ...data);
    const extra = large
      ? [...u16(1), ...u16(24), ...u64(data.length), ...u64(data.length), ...u64(at)]
      : [];
    const sizes = large ? [2 ** 32 - 1, 2 ** 32 - 1] : [data.length, data.length];
    directory.push(...u32(0x02014b50), ...u16(20), ...head, ...sizes.flatMap(u32));
    directory.push(
      ...u16(key.length),
      ...u16(extra.length),
      ...u16(0),
      ...u16(0),
      ...u16(0),
      ...u32(0),
    );
    directory.push(...u32(large ? 2 ** 32 - 1 : at), ...key, ...extra);
  }
  const [count, start] = [Object.keys(files).length, parts.length];
  const end = start + directory.length;
  const record = large
    ? [
      ...[...u32(0x06064b50), ...u64(44), ...u16(45), ...u16(45), ...u32(0), ...u32(0)],
      ...[...u64(count), ...u64(count), ...u64(directory.length), ...u64(start)],
      ...[...u32(0x07064b50), ...u32(0), ...u64(end), ...u32(1)],
    ]
    : [];
  const last = large ? [2 ** 32 - 1, 2 ** 32 - 1] : [directory.length, start];
  const counts = u16(large ? 65535 : count);
  return Uint8Array.from([
    ...parts,
    ...directory,
    ...record,
    ...[
      ...u32(0x06054b50),
      ...u16(0),
      ...u16(0),
      ...counts,
      ...counts,
      ...last.flatMap(u32),
      ...u16(0),
    ],
  ]);
}

/** Pickle instructions, spelt as bytes: what a state dict of one tensor is made of. */
const text = (value: string) => {
  const bytes = [...new TextEncoder().encode(value)];
  return [0x58, bytes.length & 255, bytes.length >> 8 & 255, 0, 0, ...bytes];
};
const int = (n: number) => [0x4a, ...new Uint8Array(Int32Array.of(n).buffer)];
const global = (module: string, name: string) => [
  ...[0x63, ...new TextEncoder().encode(`${module}\n${name}\n`)],
];
const tuple = (...items: readonly number[][]) => [0x28, ...items.flat(), 0x74];

interface TensorParts {
  readonly type?: string;
  readonly key?: string;
  readonly size?: number;
  readonly offset?: number;
  readonly shape?: readonly number[];
  readonly strides?: readonly number[];
}

function tensor(
  { type = "FloatStorage", key = "0", size = 6, offset = 0, shape = [2, 3], strides = [3, 1] }:
    TensorParts = {},
): number[] {
  const storage = [
    ...tuple(text("storage"), global("torch", type), text(key), text("cpu"), int(size)),
    0x51,
  ];
  const args = tuple(storage, int(offset), tuple(...shape.map(int)), tuple(...strides.map(int)));
  return [...global("torch._utils", "_rebuild_tensor_v2"), ...args, 0x52];
}

const pickle = (...body: readonly number[][]) => Uint8Array.from([0x80, 2, ...body.flat(), 0x2e]);
const dict = (...pairs: readonly number[][]) => [0x7d, 0x28, ...pairs.flat(), 0x75];
const six = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);

/** An archive around a pickle. */
const archive = (data: Uint8Array, more: Record<string, Uint8Array | string> = {}) =>
  zip({ "m/data.pkl": data, "m/data/0": six, ...more });

Deno.test("openSafetensors() reads archives with the fields of large ones", () => {
  using folder = new TestFolder();
  const files = { "m/data.pkl": pickle(dict(text("w"), tensor())), "m/data/0": six };
  for (const large of [false, true]) {
    using checkpoint = openSafetensors(folder.write("m.pt", zip(files, { large })));
    assert.deepEqual([...toFloat32(checkpoint.tensors.get("w")!)], [1, 2, 3, 4, 5, 6]);
  }
});

Deno.test("openSafetensors() takes the state dict whose name is asked for, with the name before its keys", () => {
  using folder = new TestFolder();
  const both = dict(
    ...[text("step"), int(3), text("model"), dict(text("w"), tensor())],
    ...[text("ema"), dict(text("ema_model.w"), tensor({ offset: 3, shape: [3], strides: [1] }))],
  );
  const path = folder.write("m.pt", archive(pickle(both)));
  for (const part of [undefined, "average"]) {
    using checkpoint = openSafetensors(path, { part });
    assert.deepEqual([...checkpoint.tensors.keys()], ["w"]);
  }
  using averages = openSafetensors(path, { part: "ema" });
  assert.deepEqual([...averages.tensors.keys()], ["ema.ema_model.w"]);
  assert.deepEqual([...toFloat32(averages.tensors.get("ema.ema_model.w")!)], [4, 5, 6]);
});

const one = (body: TensorParts) => archive(pickle(dict(text("w"), tensor(body))));
const system = [...global("posix", "system"), ...tuple(text("touch hacked")), 0x52];
const cycle = [0x7d, 0x71, 0, ...text("self"), 0x68, 0, 0x73]; // a dictionary that holds itself
const deep = Array.from({ length: 30 }, (_, i) =>
  [
    ...[0x68, i, 0x68, i, 0x86, 0x71, i + 1, 0x30], // pairs of pairs: 2^30 leaves, were they visited
  ].filter((code) => code !== 0x30)).flat();
/** Files that are no state dicts, and what is said of each. */
const hostile: Record<string, [Uint8Array, RegExp]> = {
  "a function of the system": [archive(pickle(system)), /asks for "posix\.system"/],
  "a builtin": [archive(pickle(global("builtins", "eval"))), /asks for "builtins\.eval"/],
  "a name by text": [archive(pickle(text("os"), text("system"), [0x93])), /"os\.system"/],
  "a name of the prototype": [archive(pickle(global("", "constructor"))), /"\.constructor"/],
  "an unknown instruction": [archive(pickle([0x69])), /the instruction 0x69/],
  "an object's state": [
    archive(pickle(text("x"), dict(), [0x62])),
    /sets the state of an object/,
  ],
  "a call of a storage": [
    archive(pickle(global("torch", "FloatStorage"), tuple(), [0x52])),
    /does not fit/,
  ],
  "a dictionary that holds itself": [archive(pickle(cycle)), /dictionary of tensors.*has none/],
  "pairs of pairs": [archive(pickle([0x4e, 0x71, 0], deep)), /dictionary of tensors/],
  "a name from pairs of pairs": [
    archive(pickle([0x4e, 0x71, 0], deep, text("x"), [0x93])),
    /asks for "\?\.x"/,
  ],
  "a stack that runs out": [archive(pickle([0x52])), /damaged/],
  "a mark that is missing": [archive(pickle([0x75])), /damaged/],
  "a memo that is missing": [archive(pickle([0x68, 9])), /damaged/],
  "a pickle that is cut off": [archive(pickle(text("abc")).subarray(0, 6)), /cut off/],
  "text that is not": [archive(pickle([0x58, 1, 0, 0, 0, 0xff])), /not UTF-8/],
  "a claim of memory": [one({ shape: [2 ** 30, 2 ** 30], strides: [0, 0] }), /does not fit/],
  "repeated values": [one({ shape: [100], strides: [0] }), /does not fit/],
  "more than the storage": [one({ offset: 1 }), /does not fit/],
  "negative strides": [one({ strides: [-3, 1] }), /does not fit/],
  "axes without strides": [one({ strides: [3] }), /does not fit/],
  "a storage beyond its file": [one({ size: 7 }), /needs 7 values of 4 bytes, the file has 24/],
  "a storage without file": [one({ key: "1" }), /the file has none/],
  "a key that leads out": [one({ key: "../data.pkl" }), /the file has none/],
  "an unknown type": [one({ type: "QUInt8Storage" }), /values of torch\.QUInt8Storage/],
  "other byte order": [
    archive(pickle(dict()), { "m/byteorder": "big" }),
    /not little-endian/,
  ],
  "two pickles": [
    archive(pickle(dict()), { "n/data.pkl": pickle(dict()) }),
    /this archive has 2/,
  ],
  "an archive of something else": [zip({ "a.txt": "x" }), /this archive has 0/],
  "an archive that is cut off": [archive(pickle(dict())).subarray(0, 100), /cut off/],
  "several state dicts": [
    archive(
      pickle(dict(text("a"), dict(text("w"), tensor()), text("b"), dict(text("w"), tensor()))),
    ),
    /several: "a", "b"/,
  ],
};
Deno.test("openSafetensors() executes nothing and refuses what is not a state dict, in one sentence", async (t) => {
  using folder = new TestFolder();
  for (const [name, [bytes, message]] of Object.entries(hostile)) {
    await t.step(name, () => {
      const path = folder.write("m.pth", bytes);
      assertInputError(() => openSafetensors(path), message);
    });
  }
  await t.step(
    "compressed files",
    () => assertInputError(() => openSafetensors(golden("compressed")), /is compressed/),
  );
  assert.deepEqual(folder.list(), ["m.pth"]);
});

Deno.test("openSafetensors() reads no archive with one byte changed as anything but tensors or an error", () => {
  using folder = new TestFolder();
  const whole = archive(pickle(dict(text("w"), tensor())));
  let [read, refused] = [0, 0];
  for (let i = 0; i < whole.length; i++) {
    const bytes = whole.slice();
    bytes[i] ^= 0xff;
    const path = folder.write("m.pth", bytes);
    try {
      using checkpoint = openSafetensors(path);
      for (const each of checkpoint.tensors.values()) {
        assert(toFloat32(each as HostTensor).length <= 6);
      }
      read++;
    } catch (error) {
      assert.equal((error as Error).name, "InputError", `byte ${i}: ${error}`);
      refused++;
    }
  }
  assert(read > 0 && refused > 100, `${read} read, ${refused} refused`);
});

Deno.test("openSafetensors() finds PyTorch's file in a folder that has nothing better", () => {
  using folder = new TestFolder();
  const bytes = archive(pickle(dict(text("w"), tensor())));
  folder.write("training_args.bin", bytes);
  folder.write("pytorch_model.bin", bytes);
  using checkpoint = openSafetensors(folder.path);
  assert.deepEqual([...checkpoint.tensors.keys()], ["w"]);
  folder.write("other.pth", bytes);
  Deno.removeSync(folder.at("pytorch_model.bin"));
  assertInputError(() => openSafetensors(folder.path), /has other\.pth, training_args\.bin/);
});

Deno.test("features takes a .pth file as its model, and inspect shows what is in it", async () => {
  using folder = new TestFolder();
  const { stateDict } = new TinyInception(randomKey(7));
  const files: Record<string, Uint8Array> = {};
  const pairs: number[][] = [];
  for (const [name, { dtype, shape, bytes }] of stateDict) {
    if (name.startsWith("AuxLogits")) continue;
    const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
    const key = `${pairs.length / 2}`;
    assert.equal(dtype, "f32");
    pairs.push(text(name), tensor({ key, size: bytes.length / 4, shape, strides }));
    files[`inception/data/${key}`] = bytes;
  }
  files["inception/data.pkl"] = pickle(dict(...pairs));
  const model = folder.write("inception.pth", zip(files));
  const pixels = folder.write(
    "x.npy",
    writeNpy(hostTensor(new Float32Array(3 * 75 * 75), [1, 3, 75, 75])),
  );
  const args = ["--model", model, "--pixels", pixels, "--out", folder.at("x.h5"), "--json"];
  const { code, text: said } = await gyrus("features", ...args);
  assert.equal(code, 0, said);
  assert.equal(JSON.parse(said).family, "inception");
  const listed = await gyrus("inspect", model, "--json");
  assert.equal(listed.code, 0, listed.text);
  assert.match(listed.text, /Mixed_7c\.branch_pool\.conv\.weight/);
});
