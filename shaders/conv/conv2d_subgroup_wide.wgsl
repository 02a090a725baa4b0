// y[n, o, ·] = activation(bias[o] + Σ_{c, tap} weight[o, c, tap] · x[n, c, tap_source(·, tap)])
//
//   x: [n, groups·cinG, h, w]   weight: [groups·coutG, cinG, kh, kw]   bias: [groups·coutG]   y: [n, groups·coutG, oh, ow]
//   y is channels yFirst and on of [n, yChannels, oh, ow], whose other channels stay as they are
//   TRANSPOSED: weight: [groups·cinG, coutG, kh, kw], and the taps run the other way (the gradient of a convolution by its input)
//   one subgroup per workgroup makes ROWS channels of 8·SG pixels: the plain form's tile twice as wide, and twice as high where there
//   are channels for it, because a CPU driver spends on a load what it spends on some twenty products. Everything else is the plain
//   form's: a lane holds pixels lane + SG·i of every row, one load of weight holds eight rows and is broadcast, the transposed form takes
//   pixels phase by phase of the stride.
//   numerics: f32 sums over taps, then channels; a pixel outside reads x[0] and counts as 0, a row outside repeats the last one

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup, at least 8
const ROWS: u32 = 64; // 32 or 64
const TRANSPOSED: bool = false;
const ACTIVATION: u32 = 0; // code of activate4
const_assert SG >= 8 && (ROWS == 32 || ROWS == 64);

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

fn store(near_sum: vec4f, far_sum: vec4f, near: Pixels, far: Pixels, group: u32, row: u32) {
  if (row >= params.coutG) {
    return;
  }
  let o = group * params.coutG + row;
  let shift = select(0.0, f32(bias[o]), params.hasBias != 0u);
  put(activate4(ACTIVATION, near_sum + shift), near, o);
  put(activate4(ACTIVATION, far_sum + shift), far, o);
}

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let step = select(vec2i(1), vec2i(params.strideX, params.strideY), TRANSPOSED);
  let phases = vec2u(step);
  let sub = (vec2u(params.ow, params.oh) + phases - 1u) / phases;
  let tiles = (params.n * sub.x * sub.y + SG * 8u - 1u) / (SG * 8u);
  let strip = wid.y * nwg.x + wid.x;
  if (strip >= tiles * phases.x * phases.y) {
    return; // the grid was folded
  }
  let turn = strip / tiles;
  let phase = vec2i(vec2u(turn % phases.x, turn / phases.x));
  let first = (strip % tiles) * (SG * 8u) + lane;
  let at = pixels_at(first, phase, sub, step);
  let far = pixels_at(first + 4u * SG, phase, sub, step);

  let row_tiles = (params.coutG + ROWS - 1u) / ROWS;
  let group = wid.z / row_tiles;
  let row = (wid.z % row_tiles) * ROWS;
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
  let r4 = from_w + min(my_row + 32u, last) * row_step;
  let r5 = from_w + min(my_row + 40u, last) * row_step;
  let r6 = from_w + min(my_row + 48u, last) * row_step;
  let r7 = from_w + min(my_row + 56u, last) * row_step;
  let plane = params.h * params.w;

  var a0 = mat4x4f(); var a1 = mat4x4f(); var a2 = mat4x4f(); var a3 = mat4x4f();
  var a4 = mat4x4f(); var a5 = mat4x4f(); var a6 = mat4x4f(); var a7 = mat4x4f();
  var a8 = mat4x4f(); var a9 = mat4x4f(); var a10 = mat4x4f(); var a11 = mat4x4f();
  var a12 = mat4x4f(); var a13 = mat4x4f(); var a14 = mat4x4f(); var a15 = mat4x4f();
  var b0 = mat4x4f(); var b1 = mat4x4f(); var b2 = mat4x4f(); var b3 = mat4x4f();
  var b4 = mat4x4f(); var b5 = mat4x4f(); var b6 = mat4x4f(); var b7 = mat4x4f();
  var b8 = mat4x4f(); var b9 = mat4x4f(); var b10 = mat4x4f(); var b11 = mat4x4f();
  var b12 = mat4x4f(); var b13 = mat4x4f(); var b14 = mat4x4f(); var b15 = mat4x4f();
  for (var tap = 0u; tap < taps; tap++) {
    let shift = vec2i(vec2u(tap % params.kw, tap / params.kw)) * vec2i(params.dilationX, params.dilationY)
      - vec2i(params.padLeft, params.padTop);
    if (TRANSPOSED && any((phase - shift) % step != vec2i(0))) {
      continue; // this phase of the stride never meets the tap
    }
    let from_x = source(at, group, shift);
    let from_far = source(far, group, shift);
    let inside = from_x >= vec4i(0);
    let far_inside = from_far >= vec4i(0);
    let i = vec4u(max(from_x, vec4i(0)));
    let j = vec4u(max(from_far, vec4i(0)));
    for (var c = 0u; c < params.cinG; c += 2u) {
      // The second half of the last step of an odd count adds zero.
      let d = min(c + 1u, params.cinG - 1u);
      let both = vec4<bool>(d != c);
      let k = tap + c * channel_step;
      let l = tap + d * channel_step;
      let v = load4(i + c * plane, inside);
      let vf = load4(j + c * plane, far_inside);
      let z = load4(i + d * plane, inside & both);
      let zf = load4(j + d * plane, far_inside & both);
      let p0 = f32(weight[r0 + k]); let q0 = f32(weight[r0 + l]);
      let p0l = low4(p0); let p0h = high4(p0); let q0l = low4(q0); let q0h = high4(q0);
      a0 = outer2(a0, p0l, v, q0l, z); b0 = outer2(b0, p0l, vf, q0l, zf);
      a1 = outer2(a1, p0h, v, q0h, z); b1 = outer2(b1, p0h, vf, q0h, zf);
      let p1 = f32(weight[r1 + k]); let q1 = f32(weight[r1 + l]);
      let p1l = low4(p1); let p1h = high4(p1); let q1l = low4(q1); let q1h = high4(q1);
      a2 = outer2(a2, p1l, v, q1l, z); b2 = outer2(b2, p1l, vf, q1l, zf);
      a3 = outer2(a3, p1h, v, q1h, z); b3 = outer2(b3, p1h, vf, q1h, zf);
      let p2 = f32(weight[r2 + k]); let q2 = f32(weight[r2 + l]);
      let p2l = low4(p2); let p2h = high4(p2); let q2l = low4(q2); let q2h = high4(q2);
      a4 = outer2(a4, p2l, v, q2l, z); b4 = outer2(b4, p2l, vf, q2l, zf);
      a5 = outer2(a5, p2h, v, q2h, z); b5 = outer2(b5, p2h, vf, q2h, zf);
      let p3 = f32(weight[r3 + k]); let q3 = f32(weight[r3 + l]);
      let p3l = low4(p3); let p3h = high4(p3); let q3l = low4(q3); let q3h = high4(q3);
      a6 = outer2(a6, p3l, v, q3l, z); b6 = outer2(b6, p3l, vf, q3l, zf);
      a7 = outer2(a7, p3h, v, q3h, z); b7 = outer2(b7, p3h, vf, q3h, zf);
      if (ROWS > 32u) {
        let p4 = f32(weight[r4 + k]); let q4 = f32(weight[r4 + l]);
        let p4l = low4(p4); let p4h = high4(p4); let q4l = low4(q4); let q4h = high4(q4);
        a8 = outer2(a8, p4l, v, q4l, z); b8 = outer2(b8, p4l, vf, q4l, zf);
        a9 = outer2(a9, p4h, v, q4h, z); b9 = outer2(b9, p4h, vf, q4h, zf);
        let p5 = f32(weight[r5 + k]); let q5 = f32(weight[r5 + l]);
        let p5l = low4(p5); let p5h = high4(p5); let q5l = low4(q5); let q5h = high4(q5);
        a10 = outer2(a10, p5l, v, q5l, z); b10 = outer2(b10, p5l, vf, q5l, zf);
        a11 = outer2(a11, p5h, v, q5h, z); b11 = outer2(b11, p5h, vf, q5h, zf);
        let p6 = f32(weight[r6 + k]); let q6 = f32(weight[r6 + l]);
        let p6l = low4(p6); let p6h = high4(p6); let q6l = low4(q6); let q6h = high4(q6);
        a12 = outer2(a12, p6l, v, q6l, z); b12 = outer2(b12, p6l, vf, q6l, zf);
        a13 = outer2(a13, p6h, v, q6h, z); b13 = outer2(b13, p6h, vf, q6h, zf);
        let p7 = f32(weight[r7 + k]); let q7 = f32(weight[r7 + l]);
        let p7l = low4(p7); let p7h = high4(p7); let q7l = low4(q7); let q7h = high4(q7);
        a14 = outer2(a14, p7l, v, q7l, z); b14 = outer2(b14, p7l, vf, q7l, zf);
        a15 = outer2(a15, p7h, v, q7h, z); b15 = outer2(b15, p7h, vf, q7h, zf);
      }
    }
  }
  for (var r = 0u; r < 8u; r++) {
    store(row_of8(a0, a1, r), row_of8(b0, b1, r), at, far, group, row + r);
    store(row_of8(a2, a3, r), row_of8(b2, b3, r), at, far, group, row + 8u + r);
    store(row_of8(a4, a5, r), row_of8(b4, b5, r), at, far, group, row + 16u + r);
    store(row_of8(a6, a7, r), row_of8(b6, b7, r), at, far, group, row + 24u + r);
    if (ROWS > 32u) {
      store(row_of8(a8, a9, r), row_of8(b8, b9, r), at, far, group, row + 32u + r);
      store(row_of8(a10, a11, r), row_of8(b10, b11, r), at, far, group, row + 40u + r);
      store(row_of8(a12, a13, r), row_of8(b12, b13, r), at, far, group, row + 48u + r);
      store(row_of8(a14, a15, r), row_of8(b14, b15, r), at, far, group, row + 56u + r);
    }
  }
}
