/**
 * A study of a phantom, as it is in memory.
 *
 * @module
 */
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import type { Phantom } from "../../pipelines/phantom/phantom.ts";
import { categoryMask } from "../../pipelines/phantom/render.ts";
import { CATEGORIES } from "../../pipelines/phantom/scene.ts";
import { ROIS } from "../../pipelines/phantom/sheet.ts";
import { sharedRows, type Study, type StudySubject } from "../../pipelines/brain_sail/study.ts";

/**
 * The study of all subjects of a phantom; there is nothing to dispose.
 *
 * @param nMapped number of test images to map; all when left out
 */
export function studyOfPhantom(
  { images, subjects: measured, options: { nTrain, nTest, size } }: Phantom,
  { nMapped }: { readonly nMapped?: number } = {},
): Study {
  const rows = (start: number, n: number) => Uint32Array.from({ length: n }, (_, i) => start + i);
  const subjects: StudySubject[] = measured.map(({ name, sheet, responses, noiseCeiling }) => {
    const n = sheet.nVoxels;
    const rois = ROIS.map((roi, k) => ({
      name: roi,
      voxels: [...sheet.roi.keys()].filter((v) => sheet.roi[v] === k),
    }));
    return {
      name,
      trainRows: rows(0, nTrain),
      train: hostMatrix(responses.subarray(0, nTrain * n), [nTrain, n]),
      testRows: rows(nTrain, nTest),
      test: hostMatrix(responses.subarray(nTrain * n), [nTest, n]),
      noiseCeiling,
      rois: rois.filter(({ voxels }) => voxels.length > 0),
      places: { flat: sheet.flat, hemisphere: sheet.hemisphere },
    };
  });
  return {
    images: {
      files: [],
      names: images.map((_, i) => String(i).padStart(5, "0")),
      read: (i) => ({ height: size, width: size, data: images[i].rendered.rgb }),
    },
    subjects,
    mappedRows: sharedRows(subjects, nMapped),
    truth: {
      categories: CATEGORIES,
      mask: (row, category) => {
        const known = CATEGORIES.find((name) => name === category);
        return known && { data: categoryMask(images[row].rendered, known), size: [size, size] };
      },
      depth: (row) => ({ data: images[row].rendered.depth, size: [size, size] }),
    },
    [Symbol.dispose]: () => {},
  };
}
