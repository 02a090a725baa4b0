// bit i mod 32 of mask[i / 32] = value i of the blocks of y > 0
//
//   y: [size], in it blocks of `block` values `gap` apart, the first one at `first`   mask: [words], 32 values each of n = blocks · block
//   one thread per word; bits beyond the last value are 0

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  n: u32,
  words: u32,
  block: u32,
  gap: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read> y: array<Elem>;
@group(0) @binding(1) var<storage, read_write> mask: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = gid.y * (nwg.x * WG) + gid.x;
  if (at >= params.words) {
    return;
  }
  var bits = 0u;
  for (var k = 0u; k < 32u; k++) {
    let i = min(at * 32u + k, params.n - 1u);
    let isOn = f32(y[i + quotient(i, params.block) * params.gap + params.first]) > 0.0;
    bits |= select(0u, 1u << k, isOn && at * 32u + k < params.n);
  }
  mask[at] = bits;
}
