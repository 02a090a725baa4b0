// y[n, o, ·] = activation(bias[o] + Σ_{c, tap} weight[o, c, tap] · x[n, c, tap_source(·, tap)])
//
//   x: [n, groups·cinG, h, w]   weight: [groups·coutG, cinG, kh, kw]   bias: [groups·coutG]   y: [n, groups·coutG, oh, w]
//   y is channels yFirst and on of [n, yChannels, oh, ow], whose other channels stay as they are
//   TRANSPOSED: weight: [groups·cinG, coutG, kh, kw], and the taps run the other way (the gradient of a convolution by its input)
//   for stride 1, ow = w and kw ≤ SG + 1: then pixel p reads x[p + a constant of the tap], and the taps of a kernel row are one window
//   of x, shifted. One subgroup makes 32 channels of 8·SG pixels of an image; a lane holds pixels lane + SG·i. A window is nine loads,
//   each tap of it a shuffle; one load of weight holds eight rows and is broadcast. No workgroup memory and no barrier.
//   numerics: f32 sums over kernel rows, pairs of channels, then taps; what lies outside counts as 0

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup, at least 8
const TRANSPOSED: bool = false;
const ACTIVATION: u32 = 0; // code of activate4
const_assert SG >= 8;

struct Params {
  n: u32,
  groups: u32,
  cinG: u32,
  coutG: u32,
  h: u32,
  w: u32,
  oh: u32,
  ow: u32,
  kh: u32,
  kw: u32,
  strideY: i32,
  strideX: i32,
  padTop: i32,
  padLeft: i32,
  dilationY: i32,
  dilationX: i32,
  hasBias: u32,
  yChannels: u32,
  yFirst: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> weight: array<Elem>;
@group(0) @binding(2) var<storage, read> bias: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<uniform> params: Params;

// Nine pieces of a window of x: (9·SG) values from `start`, of which those outside the buffer are any value.
struct Window {
  near: vec4f,
  far: vec4f,
  last: f32,
}

fn load(i: i32) -> f32 {
  return f32(x[u32(max(i, 0))]);
}

fn window_at(start: i32, end: i32) -> Window {
  let i = min(vec4i(start) + vec4i(vec4u(0u, SG, 2u * SG, 3u * SG)), vec4i(end));
  let j = min(vec4i(start) + vec4i(vec4u(4u * SG, 5u * SG, 6u * SG, 7u * SG)), vec4i(end));
  return Window(
    vec4f(load(i.x), load(i.y), load(i.z), load(i.w)),
    vec4f(load(j.x), load(j.y), load(j.z), load(j.w)),
    load(min(start + i32(8u * SG), end)),
  );
}

// The window from its value `shift` on: lanes beyond the end of a piece read the next one.
fn shifted(v: Window, lane: u32, shift: u32) -> array<vec4f, 2> {
  let source = (lane + shift) % SG;
  let near = subgroupShuffle(v.near, source);
  let far = subgroupShuffle(v.far, source);
  let last = subgroupShuffle(v.last, source);
  let wraps = lane + shift >= SG;
  return array<vec4f, 2>(
    select(near, vec4f(near.yzw, far.x), wraps),
    select(far, vec4f(far.yzw, last), wraps),
  );
}

fn store(sum: vec4f, image: u32, p: u32, group: u32, row: u32) {
  if (row >= params.coutG) {
    return;
  }
  let o = group * params.coutG + row;
  let v = activate4(ACTIVATION, sum + select(0.0, f32(bias[o]), params.hasBias != 0u));
  let plane = params.oh * params.ow;
  let at = (image * params.yChannels + params.yFirst + o) * plane + p;
  if (p < plane) { y[at] = Elem(v.x); }
  if (p + SG < plane) { y[at + SG] = Elem(v.y); }
  if (p + 2u * SG < plane) { y[at + 2u * SG] = Elem(v.z); }
  if (p + 3u * SG < plane) { y[at + 3u * SG] = Elem(v.w); }
}

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tiles = (params.oh * params.ow + 8u * SG - 1u) / (8u * SG);
  let strip = wid.y * nwg.x + wid.x;
  if (strip >= tiles * params.n) {
    return; // the grid was folded
  }
  let image = strip / tiles;
  let p = (strip % tiles) * (8u * SG) + lane;
  let row_tiles = (params.coutG + 31u) / 32u;
  let group = wid.z / row_tiles;
  let row = (wid.z % row_tiles) * 32u;
  let taps = params.kh * params.kw;
  let row_step = select(params.cinG * taps, taps, TRANSPOSED);
  let channel_step = select(taps, params.coutG * taps, TRANSPOSED);
  let from_w = group * params.coutG * params.cinG * taps;
  let last = params.coutG - 1u;
  let my_row = row + (lane & 7u);
  let r0 = from_w + min(my_row, last) * row_step;
  let r1 = from_w + min(my_row + 8u, last) * row_step;
  let r2 = from_w + min(my_row + 16u, last) * row_step;
  let r3 = from_w + min(my_row + 24u, last) * row_step;
  let plane = params.h * params.w;
  let from_x = i32((image * params.groups + group) * params.cinG * plane);
  let end = i32(params.n * params.groups * params.cinG * plane) - 1;
  let pixels = vec4u(p) + vec4u(0u, SG, 2u * SG, 3u * SG);
  let oy = vec4i(pixels / params.ow);
  let ox = vec4i(pixels % params.ow);
  let far_oy = vec4i((pixels + 4u * SG) / params.ow);
  let far_ox = vec4i((pixels + 4u * SG) % params.ow);
  let size = vec2i(vec2u(params.w, params.h));
  // Column of x that the first value of a window serves, relative to ox.
  let left = select(-params.padLeft, params.padLeft - i32(params.kw) + 1, TRANSPOSED);

  var a0 = mat4x4f(); var a1 = mat4x4f(); var a2 = mat4x4f(); var a3 = mat4x4f();
  var a4 = mat4x4f(); var a5 = mat4x4f(); var a6 = mat4x4f(); var a7 = mat4x4f();
  var b0 = mat4x4f(); var b1 = mat4x4f(); var b2 = mat4x4f(); var b3 = mat4x4f();
  var b4 = mat4x4f(); var b5 = mat4x4f(); var b6 = mat4x4f(); var b7 = mat4x4f();
  for (var dy = 0u; dy < params.kh; dy++) {
    let shift_y = i32(dy) * params.dilationY - params.padTop;
    let up = select(shift_y, -shift_y, TRANSPOSED);
    let iy = oy + up;
    let far_iy = far_oy + up;
    let in_y = (iy >= vec4i(0)) & (iy < vec4i(size.y));
    let far_in_y = (far_iy >= vec4i(0)) & (far_iy < vec4i(size.y));
    let start = from_x + i32(p) + up * size.x + left;
    for (var c = 0u; c < params.cinG; c += 2u) {
      // The second half of the last step of an odd count adds zero.
      let d = min(c + 1u, params.cinG - 1u);
      let alone = d == c;
      let window = window_at(start + i32(c * plane), end);
      let next = window_at(start + i32(d * plane), end);
      for (var t = 0u; t < params.kw; t++) {
        let ix = ox + (left + i32(t));
        let far_ix = far_ox + (left + i32(t));
        let here = in_y & (ix >= vec4i(0)) & (ix < vec4i(size.x));
        let far_here = far_in_y & (far_ix >= vec4i(0)) & (far_ix < vec4i(size.x));
        let both = shifted(window, lane, t);
        let also = shifted(next, lane, t);
        let v = select(vec4f(0.0), both[0], here);
        let vf = select(vec4f(0.0), both[1], far_here);
        let z = select(vec4f(0.0), also[0], here & vec4<bool>(!alone));
        let zf = select(vec4f(0.0), also[1], far_here & vec4<bool>(!alone));
        let tap = dy * params.kw + select(t, params.kw - 1u - t, TRANSPOSED);
        let k = tap + c * channel_step;
        let l = tap + d * channel_step;
        let p0 = f32(weight[r0 + k]); let p1 = f32(weight[r1 + k]);
        let p2 = f32(weight[r2 + k]); let p3 = f32(weight[r3 + k]);
        let q0 = f32(weight[r0 + l]); let q1 = f32(weight[r1 + l]);
        let q2 = f32(weight[r2 + l]); let q3 = f32(weight[r3 + l]);
        let p0l = low4(p0); let p0h = high4(p0); let q0l = low4(q0); let q0h = high4(q0);
        a0 = outer2(a0, p0l, v, q0l, z); b0 = outer2(b0, p0l, vf, q0l, zf);
        a1 = outer2(a1, p0h, v, q0h, z); b1 = outer2(b1, p0h, vf, q0h, zf);
        let p1l = low4(p1); let p1h = high4(p1); let q1l = low4(q1); let q1h = high4(q1);
        a2 = outer2(a2, p1l, v, q1l, z); b2 = outer2(b2, p1l, vf, q1l, zf);
        a3 = outer2(a3, p1h, v, q1h, z); b3 = outer2(b3, p1h, vf, q1h, zf);
        let p2l = low4(p2); let p2h = high4(p2); let q2l = low4(q2); let q2h = high4(q2);
        a4 = outer2(a4, p2l, v, q2l, z); b4 = outer2(b4, p2l, vf, q2l, zf);
        a5 = outer2(a5, p2h, v, q2h, z); b5 = outer2(b5, p2h, vf, q2h, zf);
        let p3l = low4(p3); let p3h = high4(p3); let q3l = low4(q3); let q3h = high4(q3);
        a6 = outer2(a6, p3l, v, q3l, z); b6 = outer2(b6, p3l, vf, q3l, zf);
        a7 = outer2(a7, p3h, v, q3h, z); b7 = outer2(b7, p3h, vf, q3h, zf);
      }
    }
  }
  for (var r = 0u; r < 8u; r++) {
    store(row_of8(a0, a1, r), image, p, group, row + r);
    store(row_of8(a2, a3, r), image, p, group, row + 8u + r);
    store(row_of8(a4, a5, r), image, p, group, row + 16u + r);
    store(row_of8(a6, a7, r), image, p, group, row + 24u + r);
    store(row_of8(b0, b1, r), image, p + 4u * SG, group, row + r);
    store(row_of8(b2, b3, r), image, p + 4u * SG, group, row + 8u + r);
    store(row_of8(b4, b5, r), image, p + 4u * SG, group, row + 16u + r);
    store(row_of8(b6, b7, r), image, p + 4u * SG, group, row + 24u + r);
  }
}
