// y[image, o, row + i, column + j] = activation(bias[o] + Σ_{a, b} Aᵀ[i, a] · Aᵀ[j, b] · m[6·a + b, o, p]), tile p of `first` and after
//
//   m: [36, cout, columns]   bias: [cout]   y: channels yFirst and on of [n, yChannels, oh, ow]
//   one thread per tile and channel makes 4 × 4 pixels
//   numerics: f32

alias Elem = f32;
const WG: u32 = 64;
const ACTIVATION: u32 = 0; // code of activate4

struct Params {
  cout: u32,
  oh: u32,
  ow: u32,
  down: u32,
  across: u32,
  columns: u32,
  tiles: u32,
  first: u32,
  hasBias: u32,
  yChannels: u32,
  yFirst: u32,
}

@group(0) @binding(0) var<storage, read> m: array<Elem>;
@group(0) @binding(1) var<storage, read> bias: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

fn products(at: u32, stride: u32) -> Six {
  return Six(
    vec3f(f32(m[at]), f32(m[at + stride]), f32(m[at + 2u * stride])),
    vec3f(f32(m[at + 3u * stride]), f32(m[at + 4u * stride]), f32(m[at + 5u * stride])),
  );
}

// Row iy of the tile, but what lies beyond the image.
fn put(lo: vec3f, hi: vec3f, shift: f32, plane: u32, iy: u32, ix: u32) {
  if (iy >= params.oh) {
    return;
  }
  let v = activate4(ACTIVATION, after(lo, hi) + shift);
  let to = plane + iy * params.ow + ix;
  y[to] = Elem(v.x);
  if (ix + 1u < params.ow) { y[to + 1u] = Elem(v.y); }
  if (ix + 2u < params.ow) { y[to + 2u] = Elem(v.z); }
  if (ix + 3u < params.ow) { y[to + 3u] = Elem(v.w); }
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = gid.y * (nwg.x * WG) + gid.x;
  if (at >= params.tiles * params.cout) {
    return;
  }
  let o = quotient(at, params.tiles);
  let p = at - o * params.tiles;
  let tile = params.first + p;
  let each = params.down * params.across;
  let image = quotient(tile, each);
  let place = tile - image * each;
  let row = quotient(place, params.across);
  let iy = row * 4u;
  let ix = (place - row * params.across) * 4u;
  let stride = params.cout * params.columns;
  let start = o * params.columns + p;
  let r0 = products(start, stride);
  let r1 = products(start + 6u * stride, stride);
  let r2 = products(start + 12u * stride, stride);
  let r3 = products(start + 18u * stride, stride);
  let r4 = products(start + 24u * stride, stride);
  let r5 = products(start + 30u * stride, stride);
  // The same as `after`, of rows.
  let even_a_lo = r1.lo + r2.lo;
  let even_a_hi = r1.hi + r2.hi;
  let odd_a_lo = A * (r1.lo - r2.lo);
  let odd_a_hi = A * (r1.hi - r2.hi);
  let even_b_lo = r3.lo + r4.lo;
  let even_b_hi = r3.hi + r4.hi;
  let odd_b_lo = B * (r3.lo - r4.lo);
  let odd_b_hi = B * (r3.hi - r4.hi);
  let shift = select(0.0, f32(bias[o]), params.hasBias != 0u);
  let plane = (image * params.yChannels + params.yFirst + o) * params.oh * params.ow;
  put(r0.lo + even_a_lo + even_b_lo, r0.hi + even_a_hi + even_b_hi, shift, plane, iy, ix);
  put(odd_a_lo + odd_b_lo, odd_a_hi + odd_b_hi, shift, plane, iy + 1u, ix);
  put(AA * even_a_lo + BB * even_b_lo, AA * even_a_hi + BB * even_b_hi, shift, plane, iy + 2u, ix);
  put(AA * odd_a_lo + BB * odd_b_lo + r5.lo, AA * odd_a_hi + BB * odd_b_hi + r5.hi, shift, plane, iy + 3u, ix);
}
