// y[i] += alpha·x[i], in place
//
//   x, y: [n]   four values per thread; the last ones alone, because y may be part of a larger tensor

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  n: u32,
  alpha: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (4u * i >= params.n) {
    return;
  }
  let sum = vec4f(y[i]) + params.alpha * vec4f(x[i]);
  if (4u * i + 4u <= params.n) {
    y[i] = vec4<Elem>(sum);
    return;
  }
  for (var k = 0u; k < 4u; k++) {
    if (4u * i + k < params.n) {
      y[i][k] = Elem(sum[k]);
    }
  }
}
