// dx = y · (g − Σ g·y) by rows, y the softmax
//
//   y, g, dx: [rows, cols]   one thread per row

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  rows: u32,
  cols: u32,
}

@group(0) @binding(0) var<storage, read> y: array<Elem>;
@group(0) @binding(1) var<storage, read> g: array<Elem>;
@group(0) @binding(2) var<storage, read_write> dx: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let row = gid.y * (nwg.x * WG) + gid.x;
  if (row >= params.rows) {
    return;
  }
  let start = row * params.cols;
  var level = 0.0;
  for (var j = 0u; j < params.cols; j++) { level += f32(y[start + j]) * f32(g[start + j]); }
  for (var j = 0u; j < params.cols; j++) {
    dx[start + j] = Elem(f32(y[start + j]) * (f32(g[start + j]) - level));
  }
}
