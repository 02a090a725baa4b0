// y[o, j, i] = x[o, indices[o / share, j], i], 0 where an index is out of range
//
//   x: [outer, n, inner]   indices: [rows, k]   y: [outer, k, inner], inner a multiple of 4
//   TX threads along inner, four values each; TY along k; workgroups in z over outer

alias Elem = f32;
const TX: u32 = 16;
const TY: u32 = 4;

struct Params {
  n: u32,
  inner: u32,
  k: u32,
  share: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(TX, TY)
fn main(@builtin(global_invocation_id) gid: vec3u) {
  let width = params.inner / 4u;
  if (gid.x >= width || gid.y >= params.k) {
    return;
  }
  let row = gid.z / params.share;
  let picked = indices[row * params.k + gid.y];
  var value = vec4<Elem>();
  if (picked < params.n) {
    value = x[(gid.z * params.n + picked) * width + gid.x];
  }
  y[(gid.z * params.k + gid.y) * width + gid.x] = value;
}
