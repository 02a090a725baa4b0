/**
 * Toy networks whose tokens are written as `gyrus features --layers` writes them, for tests of `gyrus align`.
 *
 * @module
 */
import { randomKey } from "../../engine/random.ts";
import { makeToyNets, type ToyNets } from "../../pipelines/aligned_cut/toy_nets.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { TestFolder } from "./io_fixtures.ts";

/** Number of images. */
export const N = 64;
/** The networks. */
export const nets: ToyNets = makeToyNets({
  key: randomKey(1),
  nImages: N,
  nLayers: 2,
  categoryLayer: 1,
});

/** Files of two networks and of the responses. */
export class Files implements Disposable {
  readonly folder = new TestFolder();

  at(name: string): string {
    return this.folder.at(name);
  }

  static async make(): Promise<Files> {
    const files = new Files();
    for (const m of [0, 1]) {
      const { name, width } = nets.models[m];
      using file = await Hdf5Writer.create(files.at(`${name}.h5`));
      for (const layer of [0, 1]) {
        const path = `/blocks/${layer}`;
        file.createDataset(path, { shape: [N, 65, width], dtype: "f32" });
        file.writeRows(path, 0, nets.tokens(m, layer));
      }
      file.setAttribute("/", "prefix_tokens", 1);
      file.setAttribute("/", "grid", [8, 8]);
      file.commit();
    }
    const { data, shape } = nets.responses;
    files.folder.write("y.npy", writeNpy(hostTensor(data, shape)));
    return files;
  }

  /** Arguments of a fit with few steps. */
  fit(out: string, ...more: string[]): string[] {
    const models = ["clip", "dino"].flatMap((
      name,
    ) => ["--model", `${name}=${this.at(`${name}.h5`)}`]);
    const small = ["--epochs", "2", "--width", "12", "--eigen-nodes", "20", "--held-out", "16"];
    const files = ["--responses", this.at("y.npy"), "--out", this.at(out)];
    return ["align", "fit", ...models, ...small, ...files, ...more];
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}
