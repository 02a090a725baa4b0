/**
 * The files that `gyrus maximize` starts from, made by `gyrus features` and `gyrus encode fit` of a small Inception V3.
 *
 * @module
 */
import assert from "node:assert/strict";
import { hostMatrix } from "../../mod.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { savePng } from "../../pipelines/io/png.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { gyrus } from "../console.ts";
import { TestFolder } from "./io_fixtures.ts";
import { N_IMAGES, net, planted, scenes, SIDE } from "./vwam_fixture.ts";

/** Bytes `[n, 75, 75, 3]` of `scenes`. */
function bytesOf(values: Float32Array): Uint8Array<ArrayBuffer> {
  const plane = SIDE * SIDE;
  return Uint8Array.from(values, (_, at) => {
    const image = Math.floor(at / (3 * plane)), p = Math.floor(at / 3) % plane;
    return Math.round(255 * values[(image * 3 + at % 3) * plane + p]);
  });
}

/** A folder with weights, features, an encoder of four planted voxels, regions and a picture. */
export class MaximizeFiles implements Disposable {
  readonly folder = new TestFolder();

  private constructor() {}

  /** Makes them. */
  static async create(): Promise<MaximizeFiles> {
    const files = new MaximizeFiles(), { folder } = files;
    saveSafetensors(folder.at("net.safetensors"), net.stateDict);
    const bytes = bytesOf(scenes(N_IMAGES));
    folder.write("images.npy", writeNpy(hostTensor(bytes, [N_IMAGES, SIDE, SIDE, 3])));
    const picture = bytes.slice(0, SIDE * SIDE * 3);
    savePng(folder.at("picture.png"), { height: SIDE, width: SIDE, data: picture });
    folder.write("rois.csv", "voxel,roi\n0,FFA\n1,FFA\n2,PPA\n3,PPA\n");
    folder.write("rois.json", '{ "FFA": [0, 1], "a-b": [3] }');
    await files.run(
      ...["features", "--model", folder.at("net.safetensors"), "--size", `${SIDE}`],
      ...["--images", folder.at("images.npy"), "--taps", "Conv2d_2b_3x3,Mixed_5b"],
      ...["--budget", "40", "--out", folder.at("features.h5")],
    );
    using file = await Hdf5File.open(folder.at("features.h5"));
    const { shape } = file.info("/features");
    const features = hostMatrix(toFloat32(file.read("/features")), [shape[0], shape[1]]);
    const responses = planted(features);
    folder.write("responses.npy", writeNpy(hostTensor(responses.data, responses.shape)));
    await files.run(
      ...["encode", "fit", "--features", `${folder.at("features.h5")}:/features`],
      ...["--responses", folder.at("responses.npy"), "--alphas", "1", "--cv", "3"],
      ...["--out", folder.at("encoder.h5")],
    );
    return files;
  }

  /** Runs a command that must succeed and gives what it printed as JSON. */
  async run(...args: string[]): Promise<Record<string, unknown>> {
    const { code, text } = await gyrus(...args, "--json");
    assert.equal(code, 0, text);
    return JSON.parse(text.split("\n").at(-1)!);
  }

  /** Arguments of `maximize` with few small steps; later ones win. */
  args(out: string, ...more: string[]): string[] {
    const { folder } = this;
    return [
      ...["maximize", "--model", folder.at("net.safetensors"), "--preset", "lucid"],
      ...["--encoder", folder.at("encoder.h5"), "--size", "60", "--steps", "8", "--lr", "0.3"],
      ...["--out", folder.at(out), ...more],
    ];
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}
