// Run by io_atomic_test.ts in a process of its own. `outer` mounts a file system of 256 KiB where only this process
// and its children see it, and runs `inner` on it; without the rights to, it says so and exits with 77. `device`
// writes to /dev/full, which is always full.
import { InputError } from "../../pipelines/errors.ts";
import { AtomicFile, AtomicFolder, writeFileAtomic } from "../../pipelines/io/atomic.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { NpyWriter } from "../../pipelines/io/npy.ts";
import { RecordLog } from "../../pipelines/io/record_log.ts";
import { savePng } from "../../pipelines/io/png.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";

const [mode, folder] = Deno.args;
const megabyte = new Uint8Array(2 ** 20).map(() => Math.random() * 256);

async function report(name: string, write: () => void | Promise<void>): Promise<void> {
  let outcome = "no error";
  try {
    await write();
  } catch (error) {
    outcome = error instanceof InputError ? error.message : `${error}`;
  }
  const left = folder === undefined ? [] : [...Deno.readDirSync(folder)].map((entry) => entry.name);
  console.log(JSON.stringify({ name, outcome, left }));
}

if (mode === "device") {
  await report("device", () => {
    using file = new AtomicFile("/dev/full");
    file.write(megabyte);
    file.commit();
  });
} else if (mode === "outer") {
  const script = 'mount -t tmpfs -o size=256k tmpfs "$0" || exit 77; exec "$@"';
  const self = [Deno.execPath(), "run", "-A", import.meta.filename!, "inner", folder];
  const args = ["--user", "--map-root-user", "--mount", "sh", "-c", script, folder, ...self];
  try {
    const { code } = new Deno.Command("unshare", { args, stdout: "inherit", stderr: "null" })
      .outputSync();
    Deno.exit(code === 0 ? 0 : 77);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    Deno.exit(77);
  }
} else {
  const at = (name: string) => `${folder}/${name}`;
  const pixels = megabyte.subarray(0, 3 * 512 * 512);
  await report("file", () => writeFileAtomic(at("a.bin"), megabyte));
  await report("png", () => savePng(at("a.png"), { width: 512, height: 512, data: pixels }));
  const tensor = hostTensor(megabyte, [2 ** 20]);
  await report("safetensors", () => saveSafetensors(at("a.safetensors"), new Map([["x", tensor]])));
  await report("npy", () => {
    using writer = new NpyWriter(at("a.npy"), { shape: [64, 2 ** 14], dtype: "u8" });
    for (let i = 0; i < 64; i++) writer.append(megabyte.subarray(i * 2 ** 14, (i + 1) * 2 ** 14));
    writer.commit();
  });
  await report("hdf5", async () => {
    using writer = await Hdf5Writer.create(at("a.h5"));
    writer.createDataset("x", { shape: [64, 2 ** 14], dtype: "u8" });
    for (let i = 0; i < 64; i++) {
      writer.writeRows("x", i, megabyte.subarray(i * 2 ** 14, (i + 1) * 2 ** 14));
    }
    writer.commit();
  });
  await report("folder", () => {
    using output = new AtomicFolder(at("out"));
    writeFileAtomic(`${output.temporary}/a.bin`, megabyte);
    output.commit();
  });
  await report("records", () => {
    using log = RecordLog.open(at("scores.log"), "a", () => undefined);
    for (let i = 0; i < 64; i++) log.append(megabyte.subarray(i * 2 ** 14, (i + 1) * 2 ** 14));
  });
  await report("records again", () => {
    let whole = 0;
    RecordLog.open(at("scores.log"), "a", () => whole++)[Symbol.dispose]();
    Deno.removeSync(at("scores.log"));
    if (whole < 10 || whole > 16) throw new Error(`${whole} records of 16 KiB fit 256 KiB`);
  });
  await report("control", async () => {
    using writer = await Hdf5Writer.create(at("small.h5"));
    writer.createDataset("x", { shape: [4], dtype: "u8" });
    writer.writeRows("x", 0, megabyte.subarray(0, 4));
    writer.commit();
  });
}
