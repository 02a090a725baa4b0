// NORMAL 0: y[i] uniform in [0, 1): the first 23 of 32 random bits, times 2^-23
// NORMAL 1: y[i] standard normal: √2 · erfinv(u), u the centre of one of 2^23 equal cells of (−1, 1)
//
//   y: [n]   one value per thread; the same bits as uniform() and normal() of the host take
//   numerics: uniform values are exact; erfinv by Giles' single-precision polynomials (2010), 3e-7 relative beside the log

alias Elem = f32;
const WG: u32 = 64;
const NORMAL: u32 = 0;

struct Params {
  n: u32,
  hi: u32,
  lo: u32,
}

@group(0) @binding(0) var<storage, read_write> y: array<Elem>;
@group(0) @binding(1) var<uniform> params: Params;

fn erfinv(x: f32) -> f32 {
  let w = -log((1.0 - x) * (1.0 + x));
  if (w < 5.0) {
    let c = w - 2.5;
    var p = 2.81022636e-08;
    p = p * c + 3.43273939e-07;
    p = p * c - 3.5233877e-06;
    p = p * c - 4.39150654e-06;
    p = p * c + 0.00021858087;
    p = p * c - 0.00125372503;
    p = p * c - 0.00417768164;
    p = p * c + 0.246640727;
    p = p * c + 1.50140941;
    return p * x;
  }
  let t = sqrt(w) - 3.0;
  var p = -0.000200214257;
  p = p * t + 0.000100950558;
  p = p * t + 0.00134934322;
  p = p * t - 0.00367342844;
  p = p * t + 0.00573950773;
  p = p * t - 0.0076224613;
  p = p * t + 0.00943887047;
  p = p * t + 1.00167406;
  p = p * t + 2.83297682;
  return p * x;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (i >= params.n) {
    return;
  }
  let cell = random_bits(vec2u(params.hi, params.lo), i) >> 9u;
  if (NORMAL == 1u) {
    // 2·cell + 1 has 24 bits, so the centre is exact.
    y[i] = Elem(1.41421356237 * erfinv(f32(2u * cell + 1u) * 0x1p-23 - 1.0));
  } else {
    y[i] = Elem(f32(cell) * 0x1p-23);
  }
}
