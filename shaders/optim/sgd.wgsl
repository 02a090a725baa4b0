// One step of gradient descent with momentum, in place:  u ← μu + g + wd·p;  p ← p − lr·u
//
//   p, g, u: [n]   four values per thread; the last vec4 may reach into the buffers' slack
//   The velocity u is f32 whatever the storage type of p and g.

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  n: u32,
  lr: f32,
  momentum: f32,
  weightDecay: f32,
}

@group(0) @binding(0) var<storage, read> g: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> p: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read_write> u: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (4u * i >= params.n) {
    return;
  }
  let value = vec4f(p[i]);
  let velocity = params.momentum * u[i] + vec4f(g[i]) + params.weightDecay * value;
  u[i] = velocity;
  p[i] = vec4<Elem>(value - params.lr * velocity);
}
