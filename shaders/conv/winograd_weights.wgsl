// u[6·i + j, o / 64, c, o mod 64] = Σ_{r, s} G[i, r] · G[j, s] · weight[o, c, r, s]
//
//   weight: [cout, cin, 3, 3]   TRANSPOSED: [cin, cout, 3, 3], whose taps run the other way   u: [36, panels, kPadded, 64]
//   one thread per pair of channels
//   numerics: f32; channels beyond the last are 0

alias Elem = f32;
const WG: u32 = 64;
const TRANSPOSED: bool = false;

struct Params {
  cin: u32,
  cout: u32,
  panels: u32,
  kPadded: u32,
}

@group(0) @binding(0) var<storage, read> weight: array<Elem>;
@group(0) @binding(1) var<storage, read_write> u: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

fn tap(start: u32, i: u32, isLive: bool) -> f32 {
  return select(0.0, f32(weight[start + select(i, 8u - i, TRANSPOSED)]), isLive);
}

// What column s of the taps becomes.
fn column(start: u32, s: u32, isLive: bool) -> Six {
  return of_taps(vec3f(tap(start, s, isLive), tap(start, 3u + s, isLive), tap(start, 6u + s, isLive)));
}

fn put(at: u32, stride: u32, g: vec3f) {
  let t = of_taps(g);
  u[at] = Elem(t.lo.x);
  u[at + stride] = Elem(t.lo.y);
  u[at + 2u * stride] = Elem(t.lo.z);
  u[at + 3u * stride] = Elem(t.hi.x);
  u[at + 4u * stride] = Elem(t.hi.y);
  u[at + 5u * stride] = Elem(t.hi.z);
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = gid.y * (nwg.x * WG) + gid.x;
  let rows = params.panels * 64u;
  if (at >= rows * params.kPadded) {
    return;
  }
  let c = at / rows;
  let o = at % rows;
  let isLive = o < params.cout && c < params.cin;
  let pair = select(o * params.cin + c, c * params.cout + o, TRANSPOSED);
  let start = select(0u, pair * 9u, isLive);
  let s0 = column(start, 0u, isLive);
  let s1 = column(start, 1u, isLive);
  let s2 = column(start, 2u, isLive);
  let stride = rows * params.kPadded;
  let to = ((o / 64u) * params.kPadded + c) * 64u + o % 64u;
  put(to, stride, vec3f(s0.lo.x, s1.lo.x, s2.lo.x));
  put(to + 6u * stride, stride, vec3f(s0.lo.y, s1.lo.y, s2.lo.y));
  put(to + 12u * stride, stride, vec3f(s0.lo.z, s1.lo.z, s2.lo.z));
  put(to + 18u * stride, stride, vec3f(s0.hi.x, s1.hi.x, s2.hi.x));
  put(to + 24u * stride, stride, vec3f(s0.hi.y, s1.hi.y, s2.hi.y));
  put(to + 30u * stride, stride, vec3f(s0.hi.z, s1.hi.z, s2.hi.z));
}
