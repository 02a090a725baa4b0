// dx = y · (g − Σ g·y) by rows, y the softmax
//
//   y, g, dx: [rows, cols]   one workgroup per row

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
  var sum = 0.0;
  for (var j = lid; j < params.cols; j += WG) { sum += f32(y[start + j]) * f32(g[start + j]); }
  let level = workgroup_sum(sum, lid);
  for (var j = lid; j < params.cols; j += WG) {
    dx[start + j] = Elem(f32(y[start + j]) * (f32(g[start + j]) - level));
  }
}
