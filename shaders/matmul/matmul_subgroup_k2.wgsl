// c[z] = residual + scale · activation(a[z] · b[z]ᵀ + bias) with k even: b as PyTorch stores the weights of a linear layer
//
//   a: [batch, m, k]   b: [batch, n, k]   bias, scale: [n]   residual, c: [batch, m, n]
//   one subgroup per workgroup makes ROWS × 8·SG of c: a lane holds columns lane + SG·j of every row, and every load is a pair of
//   neighbours along k. Loads of a hold eight rows and are broadcast. No workgroup memory and no barrier.
//   numerics: f32 sums in order of k; rows and columns beyond the edge compute a copy of the last one and are not stored

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup, at least 8
const ROWS: u32 = 32; // rows of c per workgroup: 8, 16, 24, 32 or 40
const GROUP: u32 = 8; // row tiles that share a strip of b
const ACTIVATION: u32 = 0; // code of activate4
const HAS_BIAS: bool = false;
const HAS_SCALE: bool = false;
const HAS_RESIDUAL: bool = false;
const_assert SG >= 8;

struct Params {
  batch: u32,
  m: u32,
  n: u32,
  k: u32,
  strideA: u32,
  strideB: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec2<Elem>>;
@group(0) @binding(1) var<storage, read> b: array<vec2<Elem>>;
@group(0) @binding(2) var<storage, read> bias: array<Elem>;
@group(0) @binding(3) var<storage, read> scale: array<Elem>;
@group(0) @binding(4) var<storage, read> residual: array<Elem>;
@group(0) @binding(5) var<storage, read_write> c: array<Elem>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row_tiles = (params.m + ROWS - 1u) / ROWS;
  let col_tiles = (params.n + SG * 8u - 1u) / (SG * 8u);
  let t = wid.y * nwg.x + wid.x;
  if (t >= row_tiles * col_tiles * params.batch) {
    return; // the grid was folded and has a few workgroups too many
  }
  let tile = matmul_tile(t, row_tiles, col_tiles, GROUP);
  let row = tile.x * ROWS;
  let col = tile.y * (SG * 8u) + lane;
  let k2 = params.k / 2u;
  let from_a = tile.z * (params.strideA / 2u);
  let from_b = tile.z * (params.strideB / 2u);
  let last_row = params.m - 1u;
  let i0 = from_a + min(row + (lane & 7u), last_row) * k2;
  let i1 = from_a + min(row + 8u + (lane & 7u), last_row) * k2;
  let i2 = from_a + min(row + 16u + (lane & 7u), last_row) * k2;
  let i3 = from_a + min(row + 24u + (lane & 7u), last_row) * k2;
  let i4 = from_a + min(row + 32u + (lane & 7u), last_row) * k2;
  let last_col = params.n - 1u;
  let j0 = from_b + min(col, last_col) * k2;
  let j1 = from_b + min(col + SG, last_col) * k2;
  let j2 = from_b + min(col + 2u * SG, last_col) * k2;
  let j3 = from_b + min(col + 3u * SG, last_col) * k2;
  let j4 = from_b + min(col + 4u * SG, last_col) * k2;
  let j5 = from_b + min(col + 5u * SG, last_col) * k2;
  let j6 = from_b + min(col + 6u * SG, last_col) * k2;
  let j7 = from_b + min(col + 7u * SG, last_col) * k2;
  var c00 = mat4x4f(); var c01 = mat4x4f(); var c02 = mat4x4f(); var c03 = mat4x4f();
  var c10 = mat4x4f(); var c11 = mat4x4f(); var c12 = mat4x4f(); var c13 = mat4x4f();
  var c20 = mat4x4f(); var c21 = mat4x4f(); var c22 = mat4x4f(); var c23 = mat4x4f();
  var c30 = mat4x4f(); var c31 = mat4x4f(); var c32 = mat4x4f(); var c33 = mat4x4f();
  var c40 = mat4x4f(); var c41 = mat4x4f(); var c42 = mat4x4f(); var c43 = mat4x4f();
  for (var p = 0u; p < k2; p++) {
    // All loads before the arithmetic: a CPU driver branches around every load and would spill the products in between.
    let w0 = vec2f(b[j0 + p]);
    let w1 = vec2f(b[j1 + p]);
    let w2 = vec2f(b[j2 + p]);
    let w3 = vec2f(b[j3 + p]);
    let w4 = vec2f(b[j4 + p]);
    let w5 = vec2f(b[j5 + p]);
    let w6 = vec2f(b[j6 + p]);
    let w7 = vec2f(b[j7 + p]);
    let x0 = vec2f(a[i0 + p]);
    var x1 = vec2f(0.0); var x2 = vec2f(0.0); var x3 = vec2f(0.0); var x4 = vec2f(0.0);
    if (ROWS > 8u) { x1 = vec2f(a[i1 + p]); }
    if (ROWS > 16u) { x2 = vec2f(a[i2 + p]); }
    if (ROWS > 24u) { x3 = vec2f(a[i3 + p]); }
    if (ROWS > 32u) { x4 = vec2f(a[i4 + p]); }
    let y0 = vec4f(w0.x, w1.x, w2.x, w3.x);
    let y1 = vec4f(w4.x, w5.x, w6.x, w7.x);
    let z0 = vec4f(w0.y, w1.y, w2.y, w3.y);
    let z1 = vec4f(w4.y, w5.y, w6.y, w7.y);
    let u0l = low4(x0.x); let u0h = high4(x0.x); let v0l = low4(x0.y); let v0h = high4(x0.y);
    c00 = outer2(c00, u0l, y0, v0l, z0);
    c01 = outer2(c01, u0l, y1, v0l, z1);
    c02 = outer2(c02, u0h, y0, v0h, z0);
    c03 = outer2(c03, u0h, y1, v0h, z1);
    if (ROWS > 8u) {
      let u1l = low4(x1.x); let u1h = high4(x1.x); let v1l = low4(x1.y); let v1h = high4(x1.y);
      c10 = outer2(c10, u1l, y0, v1l, z0);
      c11 = outer2(c11, u1l, y1, v1l, z1);
      c12 = outer2(c12, u1h, y0, v1h, z0);
      c13 = outer2(c13, u1h, y1, v1h, z1);
    }
    if (ROWS > 16u) {
      let u2l = low4(x2.x); let u2h = high4(x2.x); let v2l = low4(x2.y); let v2h = high4(x2.y);
      c20 = outer2(c20, u2l, y0, v2l, z0);
      c21 = outer2(c21, u2l, y1, v2l, z1);
      c22 = outer2(c22, u2h, y0, v2h, z0);
      c23 = outer2(c23, u2h, y1, v2h, z1);
    }
    if (ROWS > 24u) {
      let u3l = low4(x3.x); let u3h = high4(x3.x); let v3l = low4(x3.y); let v3h = high4(x3.y);
      c30 = outer2(c30, u3l, y0, v3l, z0);
      c31 = outer2(c31, u3l, y1, v3l, z1);
      c32 = outer2(c32, u3h, y0, v3h, z0);
      c33 = outer2(c33, u3h, y1, v3h, z1);
    }
    if (ROWS > 32u) {
      let u4l = low4(x4.x); let u4h = high4(x4.x); let v4l = low4(x4.y); let v4h = high4(x4.y);
      c40 = outer2(c40, u4l, y0, v4l, z0);
      c41 = outer2(c41, u4l, y1, v4l, z1);
      c42 = outer2(c42, u4h, y0, v4h, z0);
      c43 = outer2(c43, u4h, y1, v4h, z1);
    }
  }
  for (var r = 0u; r < 8u; r++) {
    finish(row_of8(c00, c02, r), tile.z, row + r, col);
    finish(row_of8(c01, c03, r), tile.z, row + r, col + 4u * SG);
    if (ROWS > 8u) {
      finish(row_of8(c10, c12, r), tile.z, row + 8u + r, col);
      finish(row_of8(c11, c13, r), tile.z, row + 8u + r, col + 4u * SG);
    }
    if (ROWS > 16u) {
      finish(row_of8(c20, c22, r), tile.z, row + 16u + r, col);
      finish(row_of8(c21, c23, r), tile.z, row + 16u + r, col + 4u * SG);
    }
    if (ROWS > 24u) {
      finish(row_of8(c30, c32, r), tile.z, row + 24u + r, col);
      finish(row_of8(c31, c33, r), tile.z, row + 24u + r, col + 4u * SG);
    }
    if (ROWS > 32u) {
      finish(row_of8(c40, c42, r), tile.z, row + 32u + r, col);
      finish(row_of8(c41, c43, r), tile.z, row + 32u + r, col + 4u * SG);
    }
  }
}
