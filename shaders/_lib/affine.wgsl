// Where an affine map reads, and with what weight: pieces of affine_warp and its gradient, which must agree on both.

// a·j + b·i + c: one coordinate of a matrix' image of (j, i, 1)
fn affine_at(a: f32, b: f32, c: f32, j: u32, i: u32) -> f32 {
  return a * f32(j) + b * f32(i) + c;
}

// bilinear weight of a pixel at a distance
fn tent(d: f32) -> f32 {
  return max(0.0, 1.0 - abs(d));
}
