// y = (x − mean) · rstd · weight + bias by rows, rstd = 1/√(var + eps); without CENTER the root mean square: mean is 0
//
//   x, y: [rows, cols]   weight, bias: [cols]   mean, rstd: [rows]   one workgroup per row
//   numerics: the mean as a distance from the first value, so that a large mean costs no digits; then the centred sum of squares

alias Elem = f32;
const WG: u32 = 64;
const CENTER: bool = true;
const HAS_WEIGHT: bool = true;
const HAS_BIAS: bool = true;

struct Params {
  rows: u32,
  cols: u32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> weight: array<Elem>;
@group(0) @binding(2) var<storage, read> bias: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lid: u32,
) {
  let row = wid.y * nwg.x + wid.x;
  if (row >= params.rows) {
    return;
  }
  let start = row * params.cols;
  let n = f32(params.cols);
  var centre = 0.0;
  if (CENTER) {
    let shift = f32(x[start]);
    var sum = 0.0;
    for (var j = lid; j < params.cols; j += WG) { sum += f32(x[start + j]) - shift; }
    centre = shift + workgroup_sum(sum, lid) / n;
  }
  var squares = 0.0;
  for (var j = lid; j < params.cols; j += WG) {
    let d = f32(x[start + j]) - centre;
    squares += d * d;
  }
  let spread = 1.0 / sqrt(workgroup_sum(squares, lid) / n + params.eps);
  if (lid == 0u) {
    mean[row] = centre;
    rstd[row] = spread;
  }
  for (var j = lid; j < params.cols; j += WG) {
    var v = (f32(x[start + j]) - centre) * spread;
    if (HAS_WEIGHT) { v *= f32(weight[j]); }
    if (HAS_BIAS) { v += f32(bias[j]); }
    y[start + j] = Elem(v);
  }
}
