/** Fields of one version of the header: byte of each, and the readers of its numbers. */
interface Fields {
  readonly code: (which: "qform" | "sform") => number;
  readonly pixdim: (i: number) => number;
  readonly quaternion: (i: number) => number;
  readonly offset: (i: number) => number;
  readonly row: (row: number, i: number) => number;
}

function fieldsOf(view: DataView, second: boolean, little: boolean): Fields {
  // Bytes of the fields in nifti1.h and nifti2.h.
  if (second) {
    const float = (at: number) => (i: number) => view.getFloat64(at + 8 * i, little);
    return {
      code: (which) => view.getInt32(which === "qform" ? 344 : 348, little),
      pixdim: float(104),
      quaternion: float(352),
      offset: float(376),
      row: (row, i) => float(400)(4 * row + i),
    };
  }
  const float = (at: number) => (i: number) => view.getFloat32(at + 4 * i, little);
  return {
    code: (which) => view.getInt16(which === "qform" ? 252 : 254, little),
    pixdim: float(76),
    quaternion: float(256),
    offset: float(268),
    row: (row, i) => float(280)(4 * row + i),
  };
}

/** The rotation of a quaternion whose first part is the root of what is left of 1 (nifti1.h, "METHOD 2"). */
function rotation(b: number, c: number, d: number): number[][] {
  const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
  return [
    [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
    [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
    [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
  ];
}

/**
 * The matrix, `[4, 4]`, from voxel indices (x, y, z from 0) to millimetres: the sform, or else the qform, or else the voxel sizes.
 *
 * @param view the header
 * @param second whether it is NIfTI-2's
 */
export function niftiAffine(
  view: DataView,
  { second, little }: { readonly second: boolean; readonly little: boolean },
): readonly number[] {
  const { code, pixdim, quaternion, offset, row } = fieldsOf(view, second, little);
  const rows = (at: (r: number, i: number) => number) =>
    [0, 1, 2].flatMap((r) => [0, 1, 2, 3].map((i) => at(r, i))).concat(0, 0, 0, 1);
  if (code("sform") > 0) return rows(row);
  if (code("qform") > 0) {
    const turn = rotation(quaternion(0), quaternion(1), quaternion(2));
    const handed = pixdim(0) < 0 ? -1 : 1;
    const size = [pixdim(1), pixdim(2), pixdim(3) * handed];
    return rows((r, i) => i === 3 ? offset(r) : turn[r][i] * size[i]);
  }
  return rows((r, i) => r === i ? pixdim(i + 1) : 0);
}
