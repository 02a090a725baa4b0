// keys[i] = the order of x[i] as an unsigned integer, complemented where DESCENDING
//
//   x: [n]   keys: [n]   four values per thread; the last vec4 may reach into the buffers' slack.
//   NaN comes last in ascending and first in descending order, −0 equals 0

alias Elem = f32;
const WG: u32 = 64;
const DESCENDING: u32 = 0;

struct Params {
  n: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> keys: array<vec4u>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (4u * i >= params.n) {
    return;
  }
  let v = vec4f(x[i]);
  let key = vec4u(sort_key(v.x), sort_key(v.y), sort_key(v.z), sort_key(v.w));
  keys[i] = select(key, ~key, DESCENDING == 1u);
}
