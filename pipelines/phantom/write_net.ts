/** A trained network as a folder that transformers could read. */

import { saveSafetensors } from "../io/safetensors_file.ts";
import { writeFile } from "./nsd_layout.ts";
import { tokenizerFiles } from "./tokenizer.ts";
import type { TrainedNet } from "./train_weights.ts";

/**
 * Writes `model.safetensors`, `config.json` and, for a network with a text tower, its tokenizer.
 *
 * @throws {InputError} when the file system refuses
 */
export async function writeNet(dir: string, { tensors, config }: TrainedNet): Promise<void> {
  await saveSafetensors(`${dir}/model.safetensors`, tensors);
  writeFile(`${dir}/config.json`, `${JSON.stringify(config, null, 2)}\n`);
  if (!("text_config" in config)) return;
  const { merges, vocab } = tokenizerFiles();
  writeFile(`${dir}/merges.txt`, merges);
  writeFile(`${dir}/vocab.json`, vocab);
}
