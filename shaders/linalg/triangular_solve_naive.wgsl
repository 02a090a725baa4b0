// op(t)·x = b with t triangular and op the identity or the transpose
//
//   t: [batch, n, n]; its other triangle is not read   b, x: [batch, n, cols]
//   one thread per column of b; substitution runs down (FORWARD) or up

alias Elem = f32;
const WG: u32 = 64;
const FORWARD: bool = true;
const TRANSPOSE: bool = false;

struct Params {
  batch: u32,
  n: u32,
  cols: u32,
}

@group(0) @binding(0) var<storage, read> t: array<Elem>;
@group(0) @binding(1) var<storage, read> b: array<Elem>;
@group(0) @binding(2) var<storage, read_write> x: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.batch * params.cols) {
    return;
  }
  let n = params.n;
  let z = id / params.cols;
  let start = z * n * params.cols + id % params.cols;
  for (var step = 0u; step < n; step++) {
    let i = select(n - 1 - step, step, FORWARD);
    var value = b[start + i * params.cols];
    for (var before = 0u; before < step; before++) {
      let j = select(n - 1 - before, before, FORWARD);
      value -= t[z * n * n + select(i * n + j, j * n + i, TRANSPOSE)] * x[start + j * params.cols];
    }
    x[start + i * params.cols] = value / t[z * n * n + i * n + i];
  }
}
