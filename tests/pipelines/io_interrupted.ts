// Run by io_atomic_test.ts in a process of its own: leaves outputs unfinished until an interrupt comes, and then does
// what a command line does: removes them and exits with 130.
import { AtomicFile, AtomicFolder, removeTemporaries } from "../../pipelines/io/atomic.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";

const [folder] = Deno.args;
Deno.addSignalListener("SIGINT", () => {
  removeTemporaries();
  Deno.exit(130);
});
const file = new AtomicFile(`${folder}/a.bin`);
const output = new AtomicFolder(`${folder}/out`);
const writer = await Hdf5Writer.create(`${folder}/a.h5`);
writer.createDataset("x", { shape: [1000, 1000], dtype: "f32" });
console.log("ready");
for (let row = 0; row < 1000; row++) {
  file.write(new Uint8Array(1000));
  Deno.writeTextFileSync(`${output.temporary}/${row}`, "x");
  writer.writeRows("x", row, new Float32Array(1000));
  await new Promise((resolve) => setTimeout(resolve, 20));
}
