/** A small population with planted tuning: sites of the pose, of the category, and of a factor without a label. */

import { foldIn, normal, randomKey, uniform } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";

/** What the tests fit. */
export interface Population {
  readonly responses: HostMatrix;
  readonly pose: HostMatrix;
  readonly categories: Uint32Array<ArrayBuffer>;
  /** The unlabelled factor, `[nStimuli]`. */
  readonly content: Float32Array<ArrayBuffer>;
}

/** `nSites` sites in turn tuned to one of two pose features, to four categories and to a content, with noise of deviation 0.3. */
export function plantedPopulation(nStimuli: number, nSites: number, seed = 5): Population {
  const key = randomKey(seed);
  const pose = normal(foldIn(key, 0), nStimuli * 2);
  const content = normal(foldIn(key, 1), nStimuli);
  const categories = Uint32Array.from(uniform(foldIn(key, 2), nStimuli), (u) => Math.floor(4 * u));
  const noise = normal(foldIn(key, 3), nStimuli * nSites);
  const prefers = normal(foldIn(key, 4), nSites * 4);
  const responses = new Float32Array(nStimuli * nSites);
  for (let i = 0; i < nStimuli; i++) {
    for (let s = 0; s < nSites; s++) {
      const drive = s % 4 < 2
        ? pose[i * 2 + s % 4]
        : s % 4 === 2
        ? prefers[s * 4 + categories[i]]
        : content[i];
      responses[i * nSites + s] = 10 + 3 * (drive + 0.3 * noise[i * nSites + s]);
    }
  }
  return {
    responses: hostMatrix(responses, [nStimuli, nSites]),
    pose: hostMatrix(pose, [nStimuli, 2]),
    categories,
    content,
  };
}
