// y[i] = value i of the blocks of x where bit i mod 32 of mask[i / 32] is 1, else 0
//
//   x: [size], in it blocks of `block` values `gap` apart, the first one at `first`   mask: [words]   y: [n]   one value per thread

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  n: u32,
  block: u32,
  gap: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (i >= params.n) {
    return;
  }
  let value = x[i + quotient(i, params.block) * params.gap + params.first];
  y[i] = select(Elem(0.0), value, ((mask[i / 32u] >> (i % 32u)) & 1u) == 1u);
}
