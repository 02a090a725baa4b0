// o = softmax(scale · q·kᵀ + window) · v by heads, in one pass over the keys; lse is the logarithm of each row's sum
//
//   q: [batch, tq, qStride] from qOffset, k and v alike   o: [batch, tq, heads·HEAD_DIM]   lse: [batch, tq, heads]
//   window and causal mask: see attention_scores.wgsl   HEAD_DIM ≤ 128, a multiple of 4, as are offsets and strides
//   one subgroup per workgroup, one or two query rows per lane with their q and o in registers; a key is one load for the subgroup, a vec4
//   per lane for 32 of its values, and is broadcast. No workgroup memory, no barrier, no reduction across lanes.
//   numerics: running maximum and sum in f32; exponents are powers of two (scale includes log2 e), clamped from below

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup, at least 8
const HEAD_DIM: u32 = 64;
const D4: u32 = HEAD_DIM / 4;
const PAIR: bool = HEAD_DIM <= 64; // two rows per lane; longer ones would spill, and compile for many seconds
const B1: bool = HEAD_DIM > 32; // blocks of 32 values beyond the first
const B2: bool = HEAD_DIM > 64;
const B3: bool = HEAD_DIM > 96;
const ROWS: u32 = select(SG, 2 * SG, PAIR);
const CAUSAL: bool = false;
const WINDOW: bool = false;
const POSITIONAL: bool = false;
const_assert SG >= 8 && HEAD_DIM % 4 == 0 && HEAD_DIM <= 128;

struct Params {
  tq: u32,
  tk: u32,
  heads: u32,
  qOffset: u32,
  kOffset: u32,
  vOffset: u32,
  qStride: u32,
  kStride: u32,
  vStride: u32,
  scale: f32,
  nPrefix: u32,
  gridWidth: u32,
  invTwoVar: f32,
}

@group(0) @binding(0) var<storage, read> q: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> k: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read> level: array<Elem>;
@group(0) @binding(4) var<storage, read_write> o: array<vec4<Elem>>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

// Four vec4s of a query from vec4 `d` on; beyond HEAD_DIM they are zero.
fn query(at: u32, d: u32) -> mat4x4f {
  var m = mat4x4f();
  for (var c = 0u; c < 4u; c++) {
    var x = vec4f(0.0);
    if (d + c < D4) { x = vec4f(q[at + d + c]) * (params.scale * LOG2_E); }
    m = with_column(m, c, x);
  }
  return m;
}

// This lane's vec4 of block `b` of a key; beyond HEAD_DIM it is zero.
fn key(at: u32, b: u32, lane: u32) -> vec4f {
  let d = 8u * b + (lane & 7u);
  return select(vec4f(0.0), vec4f(k[at + min(d, D4 - 1u)]), d < D4);
}

fn value(at: u32, b: u32, lane: u32) -> vec4f {
  return vec4f(v[at + min(8u * b + (lane & 7u), D4 - 1u)]);
}

fn put(m: mat4x4f, at: u32, d: u32, by: f32, inside: bool) {
  for (var c = 0u; c < 4u; c++) {
    let x = column_of(m, c);
    if (inside && d + c < D4) { o[at + c] = vec4<Elem>(x * by); }
  }
}

@compute @workgroup_size(SG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first = wid.x * ROWS;
  let head = wid.y * D4;
  let row_x = first + lane;
  let row_y = row_x + SG;
  let at_q = (params.qOffset / 4u) + head;
  let qx = (wid.z * params.tq + min(row_x, params.tq - 1u)) * (params.qStride / 4u) + at_q;
  let qy = (wid.z * params.tq + min(row_y, params.tq - 1u)) * (params.qStride / 4u) + at_q;
  var x0l = mat4x4f(); var x0h = mat4x4f(); var ox0l = mat4x4f(); var ox0h = mat4x4f();
  var y0l = mat4x4f(); var y0h = mat4x4f(); var oy0l = mat4x4f(); var oy0h = mat4x4f();
  var x1l = mat4x4f(); var x1h = mat4x4f(); var ox1l = mat4x4f(); var ox1h = mat4x4f();
  var y1l = mat4x4f(); var y1h = mat4x4f(); var oy1l = mat4x4f(); var oy1h = mat4x4f();
  var x2l = mat4x4f(); var x2h = mat4x4f(); var ox2l = mat4x4f(); var ox2h = mat4x4f();
  var x3l = mat4x4f(); var x3h = mat4x4f(); var ox3l = mat4x4f(); var ox3h = mat4x4f();
  x0l = query(qx, 0u); x0h = query(qx, 4u);
  if (B1) { x1l = query(qx, 8u); x1h = query(qx, 12u); }
  if (B2) { x2l = query(qx, 16u); x2h = query(qx, 20u); }
  if (B3) { x3l = query(qx, 24u); x3h = query(qx, 28u); }
  if (PAIR) {
    y0l = query(qy, 0u); y0h = query(qy, 4u);
    if (B1) { y1l = query(qy, 8u); y1h = query(qy, 12u); }
  }
  let place_x = place(row_x);
  let place_y = place(row_y);
  let rise = level_of(wid.z);
  var mx = LOWEST; var my = LOWEST; var lx = 0.0; var ly = 0.0;
  let end = select(params.tk, min(params.tk, first + ROWS), CAUSAL);
  let at_k = wid.z * params.tk * (params.kStride / 4u) + params.kOffset / 4u + head;
  let at_v = wid.z * params.tk * (params.vStride / 4u) + params.vOffset / 4u + head;
  for (var j = 0u; j < end; j += 2u) {
    let j1 = min(j + 1u, params.tk - 1u);
    let k0 = at_k + j * (params.kStride / 4u);
    let k1 = at_k + j1 * (params.kStride / 4u);
    let v0 = at_v + j * (params.vStride / 4u);
    let v1 = at_v + j1 * (params.vStride / 4u);
    var k0_0 = vec4f(0.0); var k1_0 = vec4f(0.0); var v0_0 = vec4f(0.0); var v1_0 = vec4f(0.0);
    var k0_1 = vec4f(0.0); var k1_1 = vec4f(0.0); var v0_1 = vec4f(0.0); var v1_1 = vec4f(0.0);
    var k0_2 = vec4f(0.0); var k1_2 = vec4f(0.0); var v0_2 = vec4f(0.0); var v1_2 = vec4f(0.0);
    var k0_3 = vec4f(0.0); var k1_3 = vec4f(0.0); var v0_3 = vec4f(0.0); var v1_3 = vec4f(0.0);
    k0_0 = key(k0, 0u, lane); k1_0 = key(k1, 0u, lane); v0_0 = value(v0, 0u, lane); v1_0 = value(v1, 0u, lane);
    if (B1) { k0_1 = key(k0, 1u, lane); k1_1 = key(k1, 1u, lane); v0_1 = value(v0, 1u, lane); v1_1 = value(v1, 1u, lane); }
    if (B2) { k0_2 = key(k0, 2u, lane); k1_2 = key(k1, 2u, lane); v0_2 = value(v0, 2u, lane); v1_2 = value(v1, 2u, lane); }
    if (B3) { k0_3 = key(k0, 3u, lane); k1_3 = key(k1, 3u, lane); v0_3 = value(v0, 3u, lane); v1_3 = value(v1, 3u, lane); }
    var x0 = 0.0; var x1 = 0.0; var y0 = 0.0; var y1 = 0.0;
    x0 += dot32(x0l, x0h, k0_0); x1 += dot32(x0l, x0h, k1_0);
    if (B1) { x0 += dot32(x1l, x1h, k0_1); x1 += dot32(x1l, x1h, k1_1); }
    if (B2) { x0 += dot32(x2l, x2h, k0_2); x1 += dot32(x2l, x2h, k1_2); }
    if (B3) { x0 += dot32(x3l, x3h, k0_3); x1 += dot32(x3l, x3h, k1_3); }
    if (PAIR) { y0 += dot32(y0l, y0h, k0_0); y1 += dot32(y0l, y0h, k1_0); }
    if (PAIR && B1) { y0 += dot32(y1l, y1h, k0_1); y1 += dot32(y1l, y1h, k1_1); }
    x0 = score(x0, row_x, j, place_x, j, rise);
    y0 = score(y0, row_y, j, place_y, j, rise);
    x1 = select(score(x1, row_x, j1, place_x, j1, rise), LOWEST, j1 == j);
    y1 = select(score(y1, row_y, j1, place_y, j1, rise), LOWEST, j1 == j);
    let nx = max(mx, max(x0, x1));
    let ax = exp2(max(mx - nx, -150.0));
    let px0 = exp2(max(x0 - nx, -150.0));
    let px1 = exp2(max(x1 - nx, -150.0));
    mx = nx;
    lx = lx * ax + px0 + px1;
    let ny = max(my, max(y0, y1));
    let ay = exp2(max(my - ny, -150.0));
    let py0 = exp2(max(y0 - ny, -150.0));
    let py1 = exp2(max(y1 - ny, -150.0));
    my = ny;
    ly = ly * ay + py0 + py1;
    ox0l = add32l(ox0l, ax, px0, v0_0, px1, v1_0); ox0h = add32h(ox0h, ax, px0, v0_0, px1, v1_0);
    if (B1) { ox1l = add32l(ox1l, ax, px0, v0_1, px1, v1_1); ox1h = add32h(ox1h, ax, px0, v0_1, px1, v1_1); }
    if (B2) { ox2l = add32l(ox2l, ax, px0, v0_2, px1, v1_2); ox2h = add32h(ox2h, ax, px0, v0_2, px1, v1_2); }
    if (B3) { ox3l = add32l(ox3l, ax, px0, v0_3, px1, v1_3); ox3h = add32h(ox3h, ax, px0, v0_3, px1, v1_3); }
    if (PAIR) {
      oy0l = add32l(oy0l, ay, py0, v0_0, py1, v1_0); oy0h = add32h(oy0h, ay, py0, v0_0, py1, v1_0);
    }
    if (PAIR && B1) {
      oy1l = add32l(oy1l, ay, py0, v0_1, py1, v1_1); oy1h = add32h(oy1h, ay, py0, v0_1, py1, v1_1);
    }
  }
  let out_x = (wid.z * params.tq + row_x) * params.heads;
  let out_y = out_x + SG * params.heads;
  let in_x = row_x < params.tq; let wx = out_x * D4 + head;
  let in_y = PAIR && row_y < params.tq; let wy = out_y * D4 + head;
  if (in_x) { lse[out_x + wid.y] = (mx + log2(lx)) / LOG2_E; }
  if (in_y) { lse[out_y + wid.y] = (my + log2(ly)) / LOG2_E; }
  put(ox0l, wx, 0u, 1.0 / lx, in_x); put(ox0h, wx + 4u, 4u, 1.0 / lx, in_x);
  put(oy0l, wy, 0u, 1.0 / ly, in_y); put(oy0h, wy + 4u, 4u, 1.0 / ly, in_y);
  if (B1) {
    put(ox1l, wx + 8u, 8u, 1.0 / lx, in_x); put(ox1h, wx + 12u, 12u, 1.0 / lx, in_x);
    put(oy1l, wy + 8u, 8u, 1.0 / ly, in_y); put(oy1h, wy + 12u, 12u, 1.0 / ly, in_y);
  }
  if (B2) { put(ox2l, wx + 16u, 16u, 1.0 / lx, in_x); put(ox2h, wx + 20u, 20u, 1.0 / lx, in_x); }
  if (B3) { put(ox3l, wx + 24u, 24u, 1.0 / lx, in_x); put(ox3h, wx + 28u, 28u, 1.0 / lx, in_x); }
}
