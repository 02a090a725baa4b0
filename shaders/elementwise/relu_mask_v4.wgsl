// bit i mod 32 of mask[i / 32] = y[i] > 0, for values without gaps
//
//   y: [n]   mask: [words], 32 values each
//   one thread per word reads eight vec4s, the last of which may reach into the buffer's slack; bits beyond the last value are 0

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  n: u32,
  words: u32,
}

@group(0) @binding(0) var<storage, read> y: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> mask: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = gid.y * (nwg.x * WG) + gid.x;
  if (at >= params.words) {
    return;
  }
  let last = (params.n - 1u) / 4u;
  var bits = 0u;
  for (var k = 0u; k < 8u; k++) {
    let quad = at * 8u + k;
    let isLive = vec4u(quad * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.n);
    let isOn = (vec4f(y[min(quad, last)]) > vec4f(0.0)) & isLive;
    let four = select(vec4u(0u), vec4u(1u, 2u, 4u, 8u), isOn);
    bits |= (four.x | four.y | four.z | four.w) << (4u * k);
  }
  mask[at] = bits;
}
