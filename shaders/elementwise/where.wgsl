// y[i] = (condition[i] & mask) != 0 ? a[i] : b[i]
//
//   condition, a, b, y: [n]   four values per thread; the last vec4 may reach into the buffers' slack

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  n: u32,
  mask: u32,
}

@group(0) @binding(0) var<storage, read> condition: array<vec4u>;
@group(0) @binding(1) var<storage, read> a: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (4u * i >= params.n) {
    return;
  }
  y[i] = select(b[i], a[i], (condition[i] & vec4u(params.mask)) != vec4u(0u));
}
