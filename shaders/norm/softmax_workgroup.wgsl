// y = exp(x − max) / Σ exp(x − max) by rows
//
//   x, y: [rows, cols]   one workgroup per row
//   numerics: arguments of exp are clamped from below, where it is 0

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  rows: u32,
  cols: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

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
  var m = -3.4028234e38;
  for (var j = lid; j < params.cols; j += WG) { m = max(m, f32(x[start + j])); }
  let top = workgroup_max(m, lid);
  var s = 0.0;
  for (var j = lid; j < params.cols; j += WG) { s += exp(max(f32(x[start + j]) - top, -100.0)); }
  let by = 1.0 / workgroup_sum(s, lid);
  for (var j = lid; j < params.cols; j += WG) {
    y[start + j] = Elem(exp(max(f32(x[start + j]) - top, -100.0)) * by);
  }
}
