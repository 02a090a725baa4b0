// What follows the sum of a product of panels, four rows by four columns at a time. Of a symmetric product the panels above the
// diagonal are left out, and those below it are stored twice.

fn finish_rows(rows: mat4x4f, z: u32, row: u32, col: u32) {
  let above = col / 16u > row / 64u;
  if (SYMMETRIC && above) {
    return;
  }
  for (var r = 0u; r < 4u; r++) {
    finish(row_of4(rows, r), z, row + r, col);
  }
  if (SYMMETRIC && col / 16u < row / 64u) {
    let mirrored = transpose(rows);
    for (var r = 0u; r < 4u; r++) {
      finish(row_of4(mirrored, r), z, 4u * col + r, row / 4u);
    }
  }
}
