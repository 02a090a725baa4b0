// y = (x − mean) · rstd · weight + bias by rows, rstd = 1/√(var + eps); without CENTER the root mean square: mean is 0
//
//   x, y: [rows, cols]   weight, bias: [cols]   mean, rstd: [rows]   cols divisible by 4
//   one subgroup per workgroup, four rows one after another: weight and bias are loaded once for the four
//   numerics: one pass for both moments, shifted by the mean of the row's first 4·SG values. Such a shift bounds the cancellation:
//   (mean − shift)² ≤ var · cols / (4·SG), unlike E[x²] − E[x]², which loses all digits when |mean| >> std.

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup
const CENTER: bool = true;
const HAS_WEIGHT: bool = true;
const HAS_BIAS: bool = true;

struct Params {
  rows: u32,
  cols: u32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

fn total(v: vec4f) -> f32 {
  return subgroupAdd(v.x + v.y + v.z + v.w);
}

// (mean, rstd) of the row that starts at vec4 `start`.
fn moments(start: u32, c4: u32, lane: u32) -> vec2f {
  let n = f32(params.cols);
  var shift = 0.0;
  if (CENTER) {
    let first = vec4f(x[start + min(lane, c4 - 1u)]);
    shift = total(first) / f32(4u * SG);
  }
  var sum = vec4f(0.0);
  var squares = vec4f(0.0);
  for (var j = lane; j < c4; j += SG) {
    let d = vec4f(x[start + j]) - shift;
    sum += d;
    squares += d * d;
  }
  let second = total(squares) / n;
  if (!CENTER) {
    return vec2f(0.0, 1.0 / sqrt(second + params.eps));
  }
  let first = total(sum) / n;
  return vec2f(shift + first, 1.0 / sqrt(max(second - first * first, 0.0) + params.eps));
}

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row = 4u * (wid.y * nwg.x + wid.x);
  if (row >= params.rows) {
    return;
  }
  let c4 = params.cols / 4u;
  // Beyond the last row the last one is computed and written again, with the same values.
  let row4 = min(vec4u(row) + vec4u(0u, 1u, 2u, 3u), vec4u(params.rows - 1u));
  let start = row4 * c4;
  var centre = vec4f(0.0);
  var spread = vec4f(0.0);
  for (var r = 0u; r < 4u; r++) {
    let here = vec4u(r) == vec4u(0u, 1u, 2u, 3u);
    let found = moments(min(row + r, params.rows - 1u) * c4, c4, lane);
    centre = select(centre, vec4f(found.x), here);
    spread = select(spread, vec4f(found.y), here);
  }
  if (lane == 0u) {
    mean[row4.x] = centre.x;
    mean[row4.y] = centre.y;
    mean[row4.z] = centre.z;
    mean[row4.w] = centre.w;
    rstd[row4.x] = spread.x;
    rstd[row4.y] = spread.y;
    rstd[row4.z] = spread.z;
    rstd[row4.w] = spread.w;
  }
  for (var j = lane; j < c4; j += SG) {
    var w = vec4f(1.0);
    var b = vec4f(0.0);
    if (HAS_WEIGHT) { w = vec4f(weight[j]); }
    if (HAS_BIAS) { b = vec4f(bias[j]); }
    let x0 = vec4f(x[start.x + j]);
    let x1 = vec4f(x[start.y + j]);
    let x2 = vec4f(x[start.z + j]);
    let x3 = vec4f(x[start.w + j]);
    y[start.x + j] = vec4<Elem>((x0 - centre.x) * spread.x * w + b);
    y[start.y + j] = vec4<Elem>((x1 - centre.y) * spread.y * w + b);
    y[start.z + j] = vec4<Elem>((x2 - centre.z) * spread.z * w + b);
    y[start.w + j] = vec4<Elem>((x3 - centre.w) * spread.w * w + b);
  }
}
