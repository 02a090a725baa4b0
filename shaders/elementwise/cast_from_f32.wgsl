// y[i] = Elem(x[i])
//
//   x, y: [n]   four values per thread; the last vec4 may reach into the buffers' slack

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  n: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (4u * i >= params.n) {
    return;
  }
  y[i] = vec4<Elem>(x[i]);
}
