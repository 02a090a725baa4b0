// v[6·i + j, p / 64, c, p mod 64] = Σ_{r, s} Bᵀ[i, r] · Bᵀ[j, s] · x[image, c, row + r, column + s], tile p of `first` and after
//
//   x: [n, cin, h, w]   v: [36, panels, kPadded, 64], as matmul_panels takes it
//   one thread per tile and channel; tiles of an image lie row by row, 4 pixels apart
//   numerics: f32; what lies outside counts as 0, tiles and channels beyond the last are 0

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  n: u32,
  cin: u32,
  h: u32,
  w: u32,
  down: u32,
  across: u32,
  panels: u32,
  kPadded: u32,
  first: u32,
  padTop: i32,
  padLeft: i32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> v: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

// Six pixels of row iy from column ix.
fn pixels(plane: u32, iy: i32, ix: i32, isLive: bool) -> Six {
  let most = vec2i(vec2u(params.w, params.h)) - 1;
  let start = plane + u32(clamp(iy, 0, most.y)) * params.w;
  let a = vec3i(ix) + vec3i(0, 1, 2);
  let b = a + 3;
  let i = vec3u(clamp(a, vec3i(0), vec3i(most.x))) + start;
  let j = vec3u(clamp(b, vec3i(0), vec3i(most.x))) + start;
  let lo = vec3f(f32(x[i.x]), f32(x[i.y]), f32(x[i.z]));
  let hi = vec3f(f32(x[j.x]), f32(x[j.y]), f32(x[j.z]));
  let inside = vec3<bool>(isLive && iy >= 0 && iy <= most.y);
  return Six(
    select(vec3f(0.0), lo, inside & (a >= vec3i(0)) & (a <= vec3i(most.x))),
    select(vec3f(0.0), hi, inside & (b >= vec3i(0)) & (b <= vec3i(most.x))),
  );
}

fn put(at: u32, stride: u32, lo: vec3f, hi: vec3f) {
  let t = before(lo, hi);
  v[at] = Elem(t.lo.x);
  v[at + stride] = Elem(t.lo.y);
  v[at + 2u * stride] = Elem(t.lo.z);
  v[at + 3u * stride] = Elem(t.hi.x);
  v[at + 4u * stride] = Elem(t.hi.y);
  v[at + 5u * stride] = Elem(t.hi.z);
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = gid.y * (nwg.x * WG) + gid.x;
  let columns = params.panels * 64u;
  if (at >= columns * params.kPadded) {
    return;
  }
  let c = quotient(at, columns);
  let p = at - c * columns;
  let tile = params.first + p;
  let each = params.down * params.across;
  let image = quotient(tile, each);
  let place = tile - image * each;
  let row = quotient(place, params.across);
  let iy = i32(row * 4u) - params.padTop;
  let ix = i32((place - row * params.across) * 4u) - params.padLeft;
  let isLive = image < params.n && c < params.cin;
  let plane = select(0u, (image * params.cin + c) * params.h * params.w, isLive);
  let r0 = pixels(plane, iy, ix, isLive);
  let r1 = pixels(plane, iy + 1, ix, isLive);
  let r2 = pixels(plane, iy + 2, ix, isLive);
  let r3 = pixels(plane, iy + 3, ix, isLive);
  let r4 = pixels(plane, iy + 4, ix, isLive);
  let r5 = pixels(plane, iy + 5, ix, isLive);
  // The same as `before`, of rows.
  let even_a_lo = r4.lo - BB * r2.lo;
  let even_a_hi = r4.hi - BB * r2.hi;
  let odd_a_lo = A * (r3.lo - BB * r1.lo);
  let odd_a_hi = A * (r3.hi - BB * r1.hi);
  let even_b_lo = r4.lo - AA * r2.lo;
  let even_b_hi = r4.hi - AA * r2.hi;
  let odd_b_lo = B * (r3.lo - AA * r1.lo);
  let odd_b_hi = B * (r3.hi - AA * r1.hi);
  let p2 = AA * BB;
  let s2 = AA + BB;
  let stride = columns * params.kPadded;
  let to = ((p / 64u) * params.kPadded + c) * 64u + p % 64u;
  put(to, stride, p2 * r0.lo - s2 * r2.lo + r4.lo, p2 * r0.hi - s2 * r2.hi + r4.hi);
  put(to + 6u * stride, stride, even_a_lo + odd_a_lo, even_a_hi + odd_a_hi);
  put(to + 12u * stride, stride, even_a_lo - odd_a_lo, even_a_hi - odd_a_hi);
  put(to + 18u * stride, stride, even_b_lo + odd_b_lo, even_b_hi + odd_b_hi);
  put(to + 24u * stride, stride, even_b_lo - odd_b_lo, even_b_hi - odd_b_hi);
  put(to + 30u * stride, stride, p2 * r1.lo - s2 * r3.lo + r5.lo, p2 * r1.hi - s2 * r3.hi + r5.hi);
}
