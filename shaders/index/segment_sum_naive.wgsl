// y[o, d, i] = sum over starts[row, d] <= j < starts[row, d + 1] of x[o, order[row, j], i], in the order of j; row = o / share
//
//   x: [outer, k, inner]   order: [rows, k]   starts: [rows, n + 1]   y: [outer, n, inner]
//   one thread per value of y, neighbours along inner: no atomics, so the same bits every time

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
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<uniform> params: Params;

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
  let row = o / params.share;
  let base = o * params.k * params.inner + i;
  let end = starts[row * (params.n + 1u) + d + 1u];
  var total = 0.0;
  for (var j = starts[row * (params.n + 1u) + d]; j < end; j++) {
    total += f32(x[base + order[row * params.k + j] * params.inner]);
  }
  y[id] = Elem(total);
}
