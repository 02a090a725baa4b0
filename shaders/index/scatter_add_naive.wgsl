// y[o, d, i] = sum over j with indices[o / share, j] = d of x[o, j, i], in the order of j
//
//   x: [outer, k, inner]   indices: [rows, k]   y: [outer, n, inner]
//   one thread per value of y, which scans all indices: no atomics, so the same bits every time

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  outer: u32,
  n: u32,
  inner: u32,
  k: u32,
  share: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.outer * params.n * params.inner) {
    return;
  }
  let slot = id / params.inner;
  let i = id - slot * params.inner;
  let o = slot / params.n;
  let d = slot - o * params.n;
  let row = (o / params.share) * params.k;
  let base = o * params.k * params.inner + i;
  var total = 0.0;
  for (var j = 0u; j < params.k; j++) {
    if (indices[row + j] == d) {
      total += f32(x[base + j * params.inner]);
    }
  }
  y[id] = Elem(total);
}
