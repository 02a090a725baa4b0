// One of the three gradients of attention, p = exp(logit − lse) computed again, ds = p · (g·v − delta), delta = g·o:
//   OF 0: dq = scale · Σ ds·k over keys   OF 1: dk = scale · Σ ds·q over queries   OF 2: dv = Σ p·g over queries
//
//   q, k, v: rows of qStride, … from qOffset, …   g: [batch, tq, heads·HEAD_DIM]   lse, delta: [batch, tq, heads]
//   d: [batch, tokens, dStride] from dOffset, added to where ACCUMULATE   window and causal mask: see attention_scores.wgsl
//   one subgroup per workgroup, one row per lane with its q or k, its g or v and its gradient in registers; two columns at a time are
//   loaded by the subgroup, a vec4 per lane for 32 values, and broadcast. HEAD_DIM ≤ 128, a multiple of 4, as are offsets and strides

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup, at least 8
const HEAD_DIM: u32 = 64;
const D4: u32 = HEAD_DIM / 4;
const B1: bool = HEAD_DIM > 32; // blocks of 32 values beyond the first
const B2: bool = HEAD_DIM > 64;
const B3: bool = HEAD_DIM > 96;
const OF: u32 = 0;
const ACCUMULATE: bool = false;
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
  dOffset: u32,
  qStride: u32,
  kStride: u32,
  vStride: u32,
  dStride: u32,
  scale: f32,
  nPrefix: u32,
  gridWidth: u32,
  invTwoVar: f32,
}

@group(0) @binding(0) var<storage, read> q: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> k: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read> g: array<vec4<Elem>>;
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> delta: array<Elem>;
@group(0) @binding(6) var<storage, read> level: array<Elem>;
@group(0) @binding(7) var<storage, read_write> d: array<vec4<Elem>>;
@group(0) @binding(8) var<uniform> params: Params;

fn place_q(z: u32, i: u32) -> u32 { return (z * params.tq + i) * (params.qStride / 4u) + params.qOffset / 4u; }
fn place_k(z: u32, j: u32) -> u32 { return (z * params.tk + j) * (params.kStride / 4u) + params.kOffset / 4u; }
fn place_v(z: u32, j: u32) -> u32 { return (z * params.tk + j) * (params.vStride / 4u) + params.vOffset / 4u; }
fn place_g(z: u32, i: u32) -> u32 { return (z * params.tq + i) * (params.heads * D4); }

// The vec4 that meets the rows in the logit: a key for dq, a query for dk and dv. `row` is true for the rows' own side.
fn logit_side(at: u32, row: bool) -> vec4f {
  if ((OF == 0u) == row) { return vec4f(q[at]); }
  return vec4f(k[at]);
}

fn value_side(at: u32, row: bool) -> vec4f {
  if ((OF == 0u) == row) { return vec4f(g[at]); }
  return vec4f(v[at]);
}

// Four vec4s of a row from vec4 `c0` on; beyond HEAD_DIM they are zero.
fn row_half(at: u32, c0: u32, logit: bool) -> mat4x4f {
  var m = mat4x4f();
  for (var c = 0u; c < 4u; c++) {
    var x = vec4f(0.0);
    if (c0 + c < D4) {
      if (logit) { x = logit_side(at + c0 + c, true); } else { x = value_side(at + c0 + c, true); }
    }
    m = with_column(m, c, x);
  }
  return m;
}

// This lane's vec4 of block `b` of a column; beyond HEAD_DIM it meets zeros of the row.
fn piece_a(at: u32, b: u32, lane: u32) -> vec4f { return logit_side(at + min(8u * b + (lane & 7u), D4 - 1u), false); }
fn piece_b(at: u32, b: u32, lane: u32) -> vec4f { return value_side(at + min(8u * b + (lane & 7u), D4 - 1u), false); }

fn put(m: mat4x4f, at: u32, c0: u32) {
  for (var c = 0u; c < 4u; c++) {
    if (c0 + c < D4) {
      var x = column_of(m, c);
      if (OF != 2u) { x *= params.scale; }
      if (ACCUMULATE) { x += vec4f(d[at + c0 + c]); }
      d[at + c0 + c] = vec4<Elem>(x);
    }
  }
}

@compute @workgroup_size(SG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let z = wid.z;
  let head = wid.y * D4;
  let of_queries = OF == 0u;
  let rows = select(params.tk, params.tq, of_queries);
  let columns = select(params.tq, params.tk, of_queries);
  let first = wid.x * SG;
  let row = min(first + lane, rows - 1u);
  let own = place(row);
  let rise = level_of(z);
  let at_r = select(place_k(z, row), place_q(z, row), of_queries) + head;
  let at_e = select(place_v(z, row), place_g(z, row), of_queries) + head;
  let stat = (z * params.tq + min(row, params.tq - 1u)) * params.heads + wid.y;
  var sum = lse[stat] * LOG2_E;
  var offset = f32(delta[stat]);
  var r0l = mat4x4f(); var r0h = mat4x4f(); var e0l = mat4x4f(); var e0h = mat4x4f();
  var d0l = mat4x4f(); var d0h = mat4x4f();
  var r1l = mat4x4f(); var r1h = mat4x4f(); var e1l = mat4x4f(); var e1h = mat4x4f();
  var d1l = mat4x4f(); var d1h = mat4x4f();
  var r2l = mat4x4f(); var r2h = mat4x4f(); var e2l = mat4x4f(); var e2h = mat4x4f();
  var d2l = mat4x4f(); var d2h = mat4x4f();
  var r3l = mat4x4f(); var r3h = mat4x4f(); var e3l = mat4x4f(); var e3h = mat4x4f();
  var d3l = mat4x4f(); var d3h = mat4x4f();
  r0l = row_half(at_r, 0u, true); r0h = row_half(at_r, 4u, true);
  e0l = row_half(at_e, 0u, false); e0h = row_half(at_e, 4u, false);
  if (B1) {
    r1l = row_half(at_r, 8u, true); r1h = row_half(at_r, 12u, true);
    e1l = row_half(at_e, 8u, false); e1h = row_half(at_e, 12u, false);
  }
  if (B2) {
    r2l = row_half(at_r, 16u, true); r2h = row_half(at_r, 20u, true);
    e2l = row_half(at_e, 16u, false); e2h = row_half(at_e, 20u, false);
  }
  if (B3) {
    r3l = row_half(at_r, 24u, true); r3h = row_half(at_r, 28u, true);
    e3l = row_half(at_e, 24u, false); e3h = row_half(at_e, 28u, false);
  }
  // Causal: keys up to the last row for dq, queries from the first row on for dk and dv.
  let begin = select(0u, min(first, columns), CAUSAL && !of_queries);
  let end = select(columns, min(columns, first + SG), CAUSAL && of_queries);
  for (var j = begin; j < end; j += 2u) {
    let j1 = min(j + 1u, columns - 1u);
    let a0 = select(place_q(z, j), place_k(z, j), of_queries) + head;
    let a1 = select(place_q(z, j1), place_k(z, j1), of_queries) + head;
    let b0 = select(place_g(z, j), place_v(z, j), of_queries) + head;
    let b1 = select(place_g(z, j1), place_v(z, j1), of_queries) + head;
    var a0_0 = vec4f(0.0); var a1_0 = vec4f(0.0); var b0_0 = vec4f(0.0); var b1_0 = vec4f(0.0);
    var a0_1 = vec4f(0.0); var a1_1 = vec4f(0.0); var b0_1 = vec4f(0.0); var b1_1 = vec4f(0.0);
    var a0_2 = vec4f(0.0); var a1_2 = vec4f(0.0); var b0_2 = vec4f(0.0); var b1_2 = vec4f(0.0);
    var a0_3 = vec4f(0.0); var a1_3 = vec4f(0.0); var b0_3 = vec4f(0.0); var b1_3 = vec4f(0.0);
    a0_0 = piece_a(a0, 0u, lane); a1_0 = piece_a(a1, 0u, lane); b0_0 = piece_b(b0, 0u, lane); b1_0 = piece_b(b1, 0u, lane);
    if (B1) { a0_1 = piece_a(a0, 1u, lane); a1_1 = piece_a(a1, 1u, lane); b0_1 = piece_b(b0, 1u, lane); b1_1 = piece_b(b1, 1u, lane); }
    if (B2) { a0_2 = piece_a(a0, 2u, lane); a1_2 = piece_a(a1, 2u, lane); b0_2 = piece_b(b0, 2u, lane); b1_2 = piece_b(b1, 2u, lane); }
    if (B3) { a0_3 = piece_a(a0, 3u, lane); a1_3 = piece_a(a1, 3u, lane); b0_3 = piece_b(b0, 3u, lane); b1_3 = piece_b(b1, 3u, lane); }
    var sum0 = sum; var sum1 = sum; var offset0 = offset; var offset1 = offset;
    if (!of_queries) {
      let at = (z * params.tq + select(j, j1, (lane & 1u) == 1u)) * params.heads + wid.y;
      let sums = lse[at] * LOG2_E;
      sum0 = subgroupBroadcast(sums, 0u);
      sum1 = subgroupBroadcast(sums, 1u);
      if (OF == 1u) {
        let offsets = f32(delta[at]);
        offset0 = subgroupBroadcast(offsets, 0u);
        offset1 = subgroupBroadcast(offsets, 1u);
      }
    }
    var s0 = 0.0; var s1 = 0.0; var t0 = 0.0; var t1 = 0.0;
    s0 += dot32(r0l, r0h, a0_0); s1 += dot32(r0l, r0h, a1_0); t0 += dot32(e0l, e0h, b0_0); t1 += dot32(e0l, e0h, b1_0);
    if (B1) { s0 += dot32(r1l, r1h, a0_1); s1 += dot32(r1l, r1h, a1_1); t0 += dot32(e1l, e1h, b0_1); t1 += dot32(e1l, e1h, b1_1); }
    if (B2) { s0 += dot32(r2l, r2h, a0_2); s1 += dot32(r2l, r2h, a1_2); t0 += dot32(e2l, e2h, b0_2); t1 += dot32(e2l, e2h, b1_2); }
    if (B3) { s0 += dot32(r3l, r3h, a0_3); s1 += dot32(r3l, r3h, a1_3); t0 += dot32(e3l, e3h, b0_3); t1 += dot32(e3l, e3h, b1_3); }
    let by = params.scale * LOG2_E;
    s0 = score(s0 * by, select(j, row, of_queries), select(row, j, of_queries), own, j, rise);
    s1 = score(s1 * by, select(j1, row, of_queries), select(row, j1, of_queries), own, j1, rise);
    var w0 = exp2(clamp(s0 - sum0, -150.0, 100.0));
    var w1 = select(exp2(clamp(s1 - sum1, -150.0, 100.0)), 0.0, j1 == j);
    if (OF == 2u) {
      d0l = add32l(d0l, 1.0, w0, b0_0, w1, b1_0); d0h = add32h(d0h, 1.0, w0, b0_0, w1, b1_0);
      if (B1) { d1l = add32l(d1l, 1.0, w0, b0_1, w1, b1_1); d1h = add32h(d1h, 1.0, w0, b0_1, w1, b1_1); }
      if (B2) { d2l = add32l(d2l, 1.0, w0, b0_2, w1, b1_2); d2h = add32h(d2h, 1.0, w0, b0_2, w1, b1_2); }
      if (B3) { d3l = add32l(d3l, 1.0, w0, b0_3, w1, b1_3); d3h = add32h(d3h, 1.0, w0, b0_3, w1, b1_3); }
    } else {
      w0 *= t0 - offset0;
      w1 *= t1 - offset1;
      d0l = add32l(d0l, 1.0, w0, a0_0, w1, a1_0); d0h = add32h(d0h, 1.0, w0, a0_0, w1, a1_0);
      if (B1) { d1l = add32l(d1l, 1.0, w0, a0_1, w1, a1_1); d1h = add32h(d1h, 1.0, w0, a0_1, w1, a1_1); }
      if (B2) { d2l = add32l(d2l, 1.0, w0, a0_2, w1, a1_2); d2h = add32h(d2h, 1.0, w0, a0_2, w1, a1_2); }
      if (B3) { d3l = add32l(d3l, 1.0, w0, a0_3, w1, a1_3); d3h = add32h(d3h, 1.0, w0, a0_3, w1, a1_3); }
    }
  }
  if (first + lane < rows) {
    let at = (z * rows + row) * (params.dStride / 4u) + params.dOffset / 4u + head;
    put(d0l, at, 0u); put(d0h, at, 4u);
    if (B1) { put(d1l, at, 8u); put(d1h, at, 12u); }
    if (B2) { put(d2l, at, 16u); put(d2h, at, 20u); }
    if (B3) { put(d3l, at, 24u); put(d3h, at, 28u); }
  }
}
