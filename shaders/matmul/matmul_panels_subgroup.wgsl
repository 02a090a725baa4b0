// c[z] = residual + scale · activation(a[z] · b[z] + bias), both operands as panels of 64 rows or columns (see pack_panels.wgsl)
//
//   a: [batch | 1, ⌈m/64⌉, k, 64]   b: [batch | 1, ⌈n/64⌉, k, 64]   k even, n divisible by 4   bias, scale: [n]   residual, c: [batch, m, n]
//   one subgroup per workgroup makes ROWS × 64 of c: a lane holds two vec4 columns of every row; one vec4 load of a holds 32 rows and is
//   broadcast. Loads run along memory and are few: a CPU driver spends 35 instructions a lane on each, and rows a power of two apart
//   would share the sets of its cache.
//   numerics: f32 sums in order of k; rows and columns beyond the edge meet zeros and are not stored

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup
const ROWS: u32 = 64; // rows of c per workgroup: 64 or 32
const GROUP: u32 = 8; // row tiles that share a panel of b
const ACTIVATION: u32 = 0; // code of activate4
const HAS_BIAS: bool = false;
const HAS_SCALE: bool = false;
const HAS_RESIDUAL: bool = false;
const SYMMETRIC: bool = false; // b is a: tiles above the diagonal are not made but mirrored
const_assert SG == 8 && (ROWS == 64 || ROWS == 32);

struct Params {
  batch: u32,
  m: u32,
  n: u32,
  k: u32,
  strideA: u32,
  strideB: u32,
  terms: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read> scale: array<vec4<Elem>>;
@group(0) @binding(4) var<storage, read> residual: array<vec4<Elem>>;
@group(0) @binding(5) var<storage, read_write> c: array<vec4<Elem>>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row_tiles = (params.m + ROWS - 1u) / ROWS;
  let col_tiles = (params.n + 63u) / 64u;
  let tiles = select(row_tiles * col_tiles, col_tiles * (col_tiles + 1u) / 2u * (64u / ROWS), SYMMETRIC) * params.batch;
  var t = wid.y * nwg.x + wid.x;
  if (t >= tiles) {
    return; // the grid was folded and has a few workgroups too many
  }
  if (params.terms != 0u) { t = paired(t, tiles); }
  var tile = matmul_tile(t, row_tiles, col_tiles, GROUP);
  if (SYMMETRIC) { tile = symmetric_tile(t, col_tiles, 64u / ROWS); }
  let row = tile.x * ROWS;
  if (row >= params.m) {
    return;
  }
  let from_a = tile.z * (params.strideA / 4u) + (row / 64u) * params.k * 16u + (row % 64u) / 4u + lane;
  let from_b = tile.z * (params.strideB / 4u) + tile.y * params.k * 16u + lane;
  var c00 = mat4x4f(); var c01 = mat4x4f(); var c10 = mat4x4f(); var c11 = mat4x4f();
  var c20 = mat4x4f(); var c21 = mat4x4f(); var c30 = mat4x4f(); var c31 = mat4x4f();
  var c40 = mat4x4f(); var c41 = mat4x4f(); var c50 = mat4x4f(); var c51 = mat4x4f();
  var c60 = mat4x4f(); var c61 = mat4x4f(); var c70 = mat4x4f(); var c71 = mat4x4f();
  var c80 = mat4x4f(); var c81 = mat4x4f(); var c90 = mat4x4f(); var c91 = mat4x4f();
  var ca0 = mat4x4f(); var ca1 = mat4x4f(); var cb0 = mat4x4f(); var cb1 = mat4x4f();
  var cc0 = mat4x4f(); var cc1 = mat4x4f(); var cd0 = mat4x4f(); var cd1 = mat4x4f();
  var ce0 = mat4x4f(); var ce1 = mat4x4f(); var cf0 = mat4x4f(); var cf1 = mat4x4f();
  let terms = terms_of(params.terms, params.k, row / 64u * 64u, 64u, tile.y * 64u);
  for (var p = terms.x; p < terms.y; p += 2u) {
    // All loads before the arithmetic: a CPU driver branches around every load and would spill the products in between.
    let at_a = from_a + p * 16u;
    let at_b = from_b + p * 16u;
    let y0 = vec4f(b[at_b]);
    let y1 = vec4f(b[at_b + 8u]);
    let z0 = vec4f(b[at_b + 16u]);
    let z1 = vec4f(b[at_b + 24u]);
    let u0 = vec4f(a[at_a]);
    let v0 = vec4f(a[at_a + 16u]);
    var u1 = vec4f(0.0); var v1 = vec4f(0.0);
    if (ROWS == 64u) { u1 = vec4f(a[at_a + 8u]); v1 = vec4f(a[at_a + 24u]); }
    let p0 = quad0(u0); let q0 = quad0(v0);
    c00 = outer2(c00, p0, y0, q0, z0);
    c01 = outer2(c01, p0, y1, q0, z1);
    let p1 = quad1(u0); let q1 = quad1(v0);
    c10 = outer2(c10, p1, y0, q1, z0);
    c11 = outer2(c11, p1, y1, q1, z1);
    let p2 = quad2(u0); let q2 = quad2(v0);
    c20 = outer2(c20, p2, y0, q2, z0);
    c21 = outer2(c21, p2, y1, q2, z1);
    let p3 = quad3(u0); let q3 = quad3(v0);
    c30 = outer2(c30, p3, y0, q3, z0);
    c31 = outer2(c31, p3, y1, q3, z1);
    let p4 = quad4(u0); let q4 = quad4(v0);
    c40 = outer2(c40, p4, y0, q4, z0);
    c41 = outer2(c41, p4, y1, q4, z1);
    let p5 = quad5(u0); let q5 = quad5(v0);
    c50 = outer2(c50, p5, y0, q5, z0);
    c51 = outer2(c51, p5, y1, q5, z1);
    let p6 = quad6(u0); let q6 = quad6(v0);
    c60 = outer2(c60, p6, y0, q6, z0);
    c61 = outer2(c61, p6, y1, q6, z1);
    let p7 = quad7(u0); let q7 = quad7(v0);
    c70 = outer2(c70, p7, y0, q7, z0);
    c71 = outer2(c71, p7, y1, q7, z1);
    if (ROWS == 64u) {
      let p8 = quad0(u1); let q8 = quad0(v1);
      c80 = outer2(c80, p8, y0, q8, z0);
      c81 = outer2(c81, p8, y1, q8, z1);
      let p9 = quad1(u1); let q9 = quad1(v1);
      c90 = outer2(c90, p9, y0, q9, z0);
      c91 = outer2(c91, p9, y1, q9, z1);
      let pa = quad2(u1); let qa = quad2(v1);
      ca0 = outer2(ca0, pa, y0, qa, z0);
      ca1 = outer2(ca1, pa, y1, qa, z1);
      let pb = quad3(u1); let qb = quad3(v1);
      cb0 = outer2(cb0, pb, y0, qb, z0);
      cb1 = outer2(cb1, pb, y1, qb, z1);
      let pc = quad4(u1); let qc = quad4(v1);
      cc0 = outer2(cc0, pc, y0, qc, z0);
      cc1 = outer2(cc1, pc, y1, qc, z1);
      let pd = quad5(u1); let qd = quad5(v1);
      cd0 = outer2(cd0, pd, y0, qd, z0);
      cd1 = outer2(cd1, pd, y1, qd, z1);
      let pe = quad6(u1); let qe = quad6(v1);
      ce0 = outer2(ce0, pe, y0, qe, z0);
      ce1 = outer2(ce1, pe, y1, qe, z1);
      let pf = quad7(u1); let qf = quad7(v1);
      cf0 = outer2(cf0, pf, y0, qf, z0);
      cf1 = outer2(cf1, pf, y1, qf, z1);
    }
  }
  // Four rows at a time, chosen without an array: one that is indexed at run time takes a CPU driver half a minute to compile.
  for (var i = 0u; i < ROWS / 4u; i++) {
    let b0 = (i & 1u) != 0u;
    let b1 = (i & 2u) != 0u;
    let b2 = (i & 4u) != 0u;
    let b3 = (i & 8u) != 0u;
    let l00 = pick(pick(pick(c00, c10, b0), pick(c20, c30, b0), b1), pick(pick(c40, c50, b0), pick(c60, c70, b0), b1), b2);
    let l10 = pick(pick(pick(c80, c90, b0), pick(ca0, cb0, b0), b1), pick(pick(cc0, cd0, b0), pick(ce0, cf0, b0), b1), b2);
    let l01 = pick(pick(pick(c01, c11, b0), pick(c21, c31, b0), b1), pick(pick(c41, c51, b0), pick(c61, c71, b0), b1), b2);
    let l11 = pick(pick(pick(c81, c91, b0), pick(ca1, cb1, b0), b1), pick(pick(cc1, cd1, b0), pick(ce1, cf1, b0), b1), b2);
    let left = pick(l00, l10, b3);
    let right = pick(l01, l11, b3);
    finish_rows(left, tile.z, row + i * 4u, tile.y * 16u + lane);
    finish_rows(right, tile.z, row + i * 4u, tile.y * 16u + 8u + lane);
  }
}
