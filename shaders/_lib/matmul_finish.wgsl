// What follows the sum of a product, four columns at a time: bias, activation, scale, residual.

fn finish(sum: vec4f, z: u32, row: u32, col: u32) {
  let n4 = params.n / 4u;
  if (row >= params.m || col >= n4) {
    return;
  }
  let at = (z * params.m + row) * n4 + col;
  var y = sum;
  if (HAS_BIAS) { y += vec4f(bias[col]); }
  y = activate4(ACTIVATION, y);
  if (HAS_SCALE) { y *= vec4f(scale[col]); }
  if (HAS_RESIDUAL) { y += vec4f(residual[at]); }
  c[at] = vec4<Elem>(y);
}
