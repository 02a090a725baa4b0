// y[row, indices[row, j]] = x[row, j]
//
//   x, indices: [rows, k]   y: [rows, n]   one thread per value; no index occurs twice in a row, so no two threads write one place

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  rows: u32,
  k: u32,
  n: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.rows * params.k) {
    return;
  }
  let place = indices[id];
  if (place < params.n) {
    y[(id / params.k) * params.n + place] = x[id];
  }
}
