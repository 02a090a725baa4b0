// y[i] = 32 random bits of the key (hi, lo) at counter i
//
//   y: [n]   one value per thread; the same bits as randomBits() of the host

const WG: u32 = 64;

struct Params {
  n: u32,
  hi: u32,
  lo: u32,
}

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (i >= params.n) {
    return;
  }
  y[i] = random_bits(vec2u(params.hi, params.lo), i);
}
