// y[i] = f(a[i], b[i])
//
//   a, b, y: [n]   the case without broadcasting: four values per thread; the last vec4 may reach into the buffers' slack
//   OP picks f (see binary.ts)

alias Elem = f32;
const WG: u32 = 64;
const OP: u32 = 0;

struct Params {
  n: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (4u * i >= params.n) {
    return;
  }
  y[i] = vec4<Elem>(combine4(OP, vec4f(a[i]), vec4f(b[i])));
}
