// y[o, d, i] = sum over starts[row, d] <= j < starts[row, d + 1] of x[o, order[row, j], i], in the order of j; row = o / share
//
//   x: [outer, k, inner]   order: [rows, k]   starts: [rows, n + 1]   y: [outer, n, inner], inner a multiple of 4
//   TX threads along inner, four values each; TY along n; workgroups in z over outer

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
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(TX, TY)
fn main(@builtin(global_invocation_id) gid: vec3u) {
  let width = params.inner / 4u;
  if (gid.x >= width || gid.y >= params.n) {
    return;
  }
  let row = gid.z / params.share;
  let segment = row * (params.n + 1u) + gid.y;
  let end = starts[segment + 1u];
  let base = gid.z * params.k * width + gid.x;
  var total = vec4f(0.0);
  for (var j = starts[segment]; j < end; j++) {
    total += vec4f(x[base + order[row * params.k + j] * width]);
  }
  y[(gid.z * params.n + gid.y) * width + gid.x] = vec4<Elem>(total);
}
