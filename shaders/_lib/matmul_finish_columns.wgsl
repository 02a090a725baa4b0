// What follows the sum of a product where a lane holds four columns SG apart: bias, activation, scale, residual.

fn finish(sum: vec4f, z: u32, row: u32, col: u32) {
  if (row >= params.m) {
    return;
  }
  let at = (z * params.m + row) * params.n;
  var y = sum;
  if (HAS_BIAS) {
    let last = params.n - 1u;
    y += vec4f(
      f32(bias[min(col, last)]),
      f32(bias[min(col + SG, last)]),
      f32(bias[min(col + 2u * SG, last)]),
      f32(bias[min(col + 3u * SG, last)]),
    );
  }
  y = activate4(ACTIVATION, y);
  for (var q = 0u; q < 4u; q++) {
    let j = col + q * SG;
    if (j < params.n) {
      var v = select(select(y.x, y.y, q == 1u), select(y.z, y.w, q == 3u), q >= 2u);
      if (HAS_SCALE) { v *= f32(scale[j]); }
      if (HAS_RESIDUAL) { v += f32(residual[at + j]); }
      c[at + j] = Elem(v);
    }
  }
}
