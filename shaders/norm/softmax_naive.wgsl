// y = exp(x − max) / Σ exp(x − max) by rows
//
//   x, y: [rows, cols]   one thread per row
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
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let row = gid.y * (nwg.x * WG) + gid.x;
  if (row >= params.rows) {
    return;
  }
  let start = row * params.cols;
  var top = -3.4028234e38;
  for (var j = 0u; j < params.cols; j++) { top = max(top, f32(x[start + j])); }
  var s = 0.0;
  for (var j = 0u; j < params.cols; j++) { s += exp(max(f32(x[start + j]) - top, -100.0)); }
  for (var j = 0u; j < params.cols; j++) {
    y[start + j] = Elem(exp(max(f32(x[start + j]) - top, -100.0)) / s);
  }
}
