// y[o, j, i] = x[o, indices[o / share, j], i], 0 where an index is out of range
//
//   x: [outer, n, inner]   indices: [rows, k]   y: [outer, k, inner]
//   one thread per value: x over the k · inner values of an outer slice, so that lanes are full for any inner; y over outer

alias Elem = f32;
const WG: u32 = 64;
const SINGLE: bool = false; // inner is 1

struct Params {
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
fn main(@builtin(global_invocation_id) gid: vec3u) {
  let length = params.k * params.inner;
  if (gid.x >= length) {
    return;
  }
  var j = gid.x;
  if (!SINGLE) {
    j = gid.x / params.inner;
  }
  let picked = indices[(gid.y / params.share) * params.k + j];
  var value = Elem(0);
  if (picked < params.n) {
    value = x[(gid.y * params.n + picked) * params.inner + gid.x - j * params.inner];
  }
  y[gid.y * length + gid.x] = value;
}
