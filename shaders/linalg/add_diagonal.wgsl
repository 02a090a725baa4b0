// y[b, i, j] = x[b, i, j] + d[b, i]·[i = j]
//
//   x, y: [batch, n, n]   d: [batch, n]   one thread per element

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  batch: u32,
  n: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> d: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.batch * params.n * params.n) {
    return;
  }
  let row = id / params.n;
  var value = x[id];
  if (row % params.n == id % params.n) {
    value += d[row];
  }
  y[id] = value;
}
