import assert from "node:assert/strict";
import { writeSafetensors } from "../../pipelines/io/safetensors.ts";
import { openSafetensors, saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";

const a = hostTensor(new Float32Array([1, 2, 3]), [3]);
const b = hostTensor(new Int16Array([4, 5]), [2, 1]);

/** A folder with two shards and their index; `change` edits the index before it is written. */
function sharded(
  folder: TestFolder,
  change: (map: Record<string, unknown>) => void = () => {},
): string {
  folder.write(
    "model-00001-of-00002.safetensors",
    writeSafetensors(new Map([["a", a]]), { format: "pt" }),
  );
  folder.write("model-00002-of-00002.safetensors", writeSafetensors(new Map([["b", b]])));
  const map: Record<string, unknown> = {
    a: "model-00001-of-00002.safetensors",
    b: "model-00002-of-00002.safetensors",
  };
  change(map);
  const index = JSON.stringify({ metadata: { total_size: 16 }, weight_map: map });
  return folder.write("model.safetensors.index.json", index);
}

Deno.test("openSafetensors() reads tensors when asked, from a file of one tensor after another", () => {
  using folder = new TestFolder();
  const path = folder.at("w.safetensors");
  saveSafetensors(path, new Map([["a", a], ["b", b]]), { made: "here" });
  assert.deepEqual(folder.list(), ["w.safetensors"]);
  assert.deepEqual(
    Deno.readFileSync(path),
    writeSafetensors(new Map([["a", a], ["b", b]]), { made: "here" }),
  );
  using checkpoint = openSafetensors(path);
  assert.deepEqual(checkpoint.metadata, { made: "here" });
  const tensor = checkpoint.tensors.get("b")!;
  assert.deepEqual([tensor.dtype, tensor.shape], ["i16", [2, 1]]);
  assert.deepEqual([...toFloat32(tensor)], [4, 5]);
  assert.deepEqual([...tensor.readBytes(2, 4)], [5, 0]);
  assert.equal(tensor.bytes, tensor.bytes, "what is in use is not read again");
});

Deno.test("openSafetensors() does not load the file", () => {
  using folder = new TestFolder();
  const path = folder.at("large.safetensors");
  // A sparse file of 64 GiB: more than memory, no disk.
  const size = 2 ** 36;
  const header = `{"big":{"dtype":"U8","shape":[${size}],"data_offsets":[0,${size}]},` +
    `"last":{"dtype":"U8","shape":[3],"data_offsets":[${size},${size + 3}]}}`;
  const head = new Uint8Array(8 + header.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(header.length), true);
  head.set(new TextEncoder().encode(header), 8);
  folder.write("large.safetensors", head);
  Deno.truncateSync(path, head.length + size + 3);
  using checkpoint = openSafetensors(path);
  assert.deepEqual([...toFloat32(checkpoint.tensors.get("last")!)], [0, 0, 0]);
  assert.equal(checkpoint.tensors.get("big")!.readBytes(size - 4, size).length, 4);
  assertInputError(
    () => checkpoint.tensors.get("big")!.bytes,
    /68719476736 bytes at once do not fit/,
  );
});

Deno.test("openSafetensors() opens a sharded checkpoint by its index or its folder", () => {
  using folder = new TestFolder();
  const index = sharded(folder);
  for (const path of [index, folder.path, `${folder.path}/`]) {
    using checkpoint = openSafetensors(path);
    assert.deepEqual([...checkpoint.tensors.keys()], ["a", "b"]);
    assert.deepEqual([...toFloat32(checkpoint.tensors.get("a")!)], [1, 2, 3]);
    assert.deepEqual([...toFloat32(checkpoint.tensors.get("b")!)], [4, 5]);
    assert.deepEqual(checkpoint.metadata, { format: "pt" });
  }
});

Deno.test("openSafetensors() opens the one file of a folder and refuses to choose between two", () => {
  using folder = new TestFolder();
  assertInputError(() => openSafetensors(folder.path), /must have one .* has neither/);
  folder.write("one.safetensors", writeSafetensors(new Map([["a", a]])));
  using checkpoint = openSafetensors(folder.path);
  assert.equal(checkpoint.tensors.size, 1);
  folder.write("two.safetensors", writeSafetensors(new Map([["a", a]])));
  assertInputError(() => openSafetensors(folder.path), /has one\.safetensors, two\.safetensors/);
  folder.write("model.safetensors", writeSafetensors(new Map([["a", a], ["b", b]])));
  using usual = openSafetensors(`${folder.path}/`);
  assert.equal(usual.tensors.size, 2);
});

Deno.test("openSafetensors() says of a pickle that torch.save did not write that it has to be converted", () => {
  using folder = new TestFolder();
  folder.write("pytorch_model.bin", Uint8Array.of(0x80, 2, 0x7d, 0x71, 0, 0x58, 5, 1, 0x2e));
  assertInputError(() => openSafetensors(folder.path), /has to be converted to safetensors/);
});

Deno.test("openSafetensors() refuses an index that is wrong in one way", async (t) => {
  const faults: [name: string, change: (map: Record<string, unknown>) => void, message: RegExp][] =
    [
      [
        "a missing shard",
        (map) => map.b = "model-3.safetensors",
        /model-3\.safetensors": there is no such file/,
      ],
      [
        "a tensor that is not in its shard",
        (map) => map.c = map.a,
        /its index puts "c" into "model-00001/,
      ],
      [
        "a path upwards",
        (map) => map.b = "../b.safetensors",
        /inside the folder of the index, is "\.\.\/b/,
      ],
      [
        "a path upwards, hidden",
        (map) => map.b = "x/../../b.safetensors",
        /inside the folder of the index/,
      ],
      [
        "an absolute path",
        (map) => map.b = "/etc/passwd",
        /inside the folder of the index, is "\/etc/,
      ],
      ["a backslash", (map) => map.b = "..\\b.safetensors", /inside the folder of the index/],
      ["an empty name", (map) => map.b = "", /inside the folder of the index, is ""/],
      ["a shard that is a number", (map) => map.b = 7, /inside the folder of the index, is 7/],
      ["a zero byte", (map) => map.b = "b\0.safetensors", /inside the folder of the index/],
    ];
  for (const [name, change, message] of faults) {
    await t.step(name, () => {
      using folder = new TestFolder();
      const index = sharded(folder, change);
      assertInputError(() => openSafetensors(index), message);
    });
  }
  await t.step("an index that is not JSON, has no map, or repeats a name", () => {
    using folder = new TestFolder();
    const open = (text: string) => openSafetensors(folder.write("m.safetensors.index.json", text));
    assertInputError(() => open("{"), /m\.safetensors\.index\.json": it is not JSON/);
    assertInputError(() => open("[]"), /must be a JSON object, got an array/);
    assertInputError(() => open("{}"), /must have a "weight_map" object, has undefined/);
    assertInputError(() => open('{"weight_map":{"a":"x","a":"y"}}'), /has the key "a" twice/);
  });
});

Deno.test("openSafetensors() refuses files that are missing, cut off, or not files", () => {
  using folder = new TestFolder();
  assertInputError(
    () => openSafetensors(folder.at("no.safetensors")),
    /no\.safetensors": there is no such/,
  );
  const whole = writeSafetensors(new Map([["a", a]]));
  for (const length of [0, 7, 8, 40, whole.length - 1]) {
    const path = folder.write("cut.safetensors", whole.subarray(0, length));
    assertInputError(
      () => openSafetensors(path),
      /Cannot read safetensors from ".*cut\.safetensors": /,
    );
  }
  assertInputError(() => openSafetensors("/dev/null"), /it is not a regular file|Requires/);
});

Deno.test("a tensor cannot be read after the file has become shorter or was closed", () => {
  using folder = new TestFolder();
  const path = folder.write("w.safetensors", writeSafetensors(new Map([["a", a]])));
  const checkpoint = openSafetensors(path);
  Deno.truncateSync(path, Deno.statSync(path).size - 4);
  assertInputError(() => checkpoint.tensors.get("a")!.bytes, /it became shorter while it was read/);
  checkpoint.close();
  checkpoint.close();
  assert.throws(() => checkpoint.tensors.get("a")!.bytes, /it was closed/);
});
