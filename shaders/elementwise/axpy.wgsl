// y[i] += alpha·x[i], in place
//
//   x, y: [n]   one thread per value: y may be part of a larger tensor, so no vec4 may reach past it

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  n: u32,
  alpha: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (i >= params.n) {
    return;
  }
  y[i] = Elem(f32(y[i]) + params.alpha * f32(x[i]));
}
