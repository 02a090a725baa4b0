// y[i] = x[i] where bit i mod 32 of mask[i / 32] is 1, else 0, for values without gaps
//
//   x, y: [n]   mask: [words]   four values per thread; the last vec4 may reach into the buffers' slack

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  n: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (4u * i >= params.n) {
    return;
  }
  let four = vec4u(mask[i / 8u] >> (4u * (i % 8u))) & vec4u(1u, 2u, 4u, 8u);
  y[i] = select(vec4<Elem>(0.0), x[i], four != vec4u(0u));
}
