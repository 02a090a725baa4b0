// y[n, o, ·] = activation(bias[o] + Σ_{c, tap} weight[o, c, tap] · x[n, c, tap_source(·, tap)])
//
//   x: [n, groups·cinG, h, w]   weight: [groups·coutG, cinG, kh, kw]   bias: [groups·coutG]   y: [n, groups·coutG, oh, ow]
//   y is channels yFirst and on of [n, yChannels, oh, ow], whose other channels stay as they are
//   TRANSPOSED: weight: [groups·cinG, coutG, kh, kw], and the taps run the other way (the gradient of a convolution by its input)
//   one subgroup per workgroup makes ROWS channels of 4·SG pixels: a lane holds pixels lane + SG·i of every row, one load of weight
//   holds eight rows at one tap and channel and is broadcast. No workgroup memory and no barrier, for drivers where those are dear.
//   Pixels are those of all images in one row. The transposed form takes them phase by phase of the stride, so that a tap serves a
//   whole tile or none of it.
//   numerics: f32 sums over taps, then channels; a pixel outside reads x[0] and counts as 0, a row outside repeats the last one

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup, at least 8
const ROWS: u32 = 32; // 8, 16 or 32
const TRANSPOSED: bool = false;
const ACTIVATION: u32 = 0; // code of activate4
const_assert SG >= 8 && (ROWS == 8 || ROWS == 16 || ROWS == 32);

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

fn store(sum: vec4f, at: Pixels, group: u32, row: u32) {
  if (row >= params.coutG) {
    return;
  }
  let o = group * params.coutG + row;
  let v = activate4(ACTIVATION, sum + select(0.0, f32(bias[o]), params.hasBias != 0u));
  put(v, at, o);
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
  let tiles = (params.n * sub.x * sub.y + SG * 4u - 1u) / (SG * 4u);
  let strip = wid.y * nwg.x + wid.x;
  if (strip >= tiles * phases.x * phases.y) {
    return; // the grid was folded
  }
  let turn = strip / tiles;
  let phase = vec2i(vec2u(turn % phases.x, turn / phases.x));
  let at = pixels_at((strip % tiles) * (SG * 4u) + lane, phase, sub, step);

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
  let plane = params.h * params.w;

  var a0 = mat4x4f(); var a1 = mat4x4f(); var a2 = mat4x4f(); var a3 = mat4x4f();
  var a4 = mat4x4f(); var a5 = mat4x4f(); var a6 = mat4x4f(); var a7 = mat4x4f();
  for (var tap = 0u; tap < taps; tap++) {
    let shift = vec2i(vec2u(tap % params.kw, tap / params.kw)) * vec2i(params.dilationX, params.dilationY)
      - vec2i(params.padLeft, params.padTop);
    if (TRANSPOSED && any((phase - shift) % step != vec2i(0))) {
      continue; // this phase of the stride never meets the tap
    }
    let from_x = source(at, group, shift);
    let inside = from_x >= vec4i(0);
    let i = vec4u(max(from_x, vec4i(0)));
    for (var c = 0u; c < params.cinG; c += 2u) {
      // The second half of the last step of an odd count adds zero. Loads come before arithmetic: a CPU driver branches around each.
      let d = min(c + 1u, params.cinG - 1u);
      let alone = d == c;
      let k = tap + c * channel_step;
      let l = tap + d * channel_step;
      let v = load4(i + c * plane, inside);
      let z = load4(i + d * plane, inside & vec4<bool>(!alone));
      let p0 = f32(weight[r0 + k]);
      let q0 = f32(weight[r0 + l]);
      var p1 = 0.0; var q1 = 0.0; var p2 = 0.0; var q2 = 0.0; var p3 = 0.0; var q3 = 0.0;
      if (ROWS > 8u) {
        p1 = f32(weight[r1 + k]);
        q1 = f32(weight[r1 + l]);
      }
      if (ROWS > 16u) {
        p2 = f32(weight[r2 + k]);
        q2 = f32(weight[r2 + l]);
        p3 = f32(weight[r3 + k]);
        q3 = f32(weight[r3 + l]);
      }
      a0 = outer2(a0, low4(p0), v, low4(q0), z);
      a1 = outer2(a1, high4(p0), v, high4(q0), z);
      if (ROWS > 8u) {
        a2 = outer2(a2, low4(p1), v, low4(q1), z);
        a3 = outer2(a3, high4(p1), v, high4(q1), z);
      }
      if (ROWS > 16u) {
        a4 = outer2(a4, low4(p2), v, low4(q2), z);
        a5 = outer2(a5, high4(p2), v, high4(q2), z);
        a6 = outer2(a6, low4(p3), v, low4(q3), z);
        a7 = outer2(a7, high4(p3), v, high4(q3), z);
      }
    }
  }
  for (var r = 0u; r < 8u; r++) {
    store(row_of8(a0, a1, r), at, group, row + r);
    if (ROWS > 8u) {
      store(row_of8(a2, a3, r), at, group, row + 8u + r);
    }
    if (ROWS > 16u) {
      store(row_of8(a4, a5, r), at, group, row + 16u + r);
      store(row_of8(a6, a7, r), at, group, row + 24u + r);
    }
  }
}
