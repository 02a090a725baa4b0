// c[z] = residual + scale · activation(op(a[z]) · op(b[z]) + bias), any sizes, either operand transposed
//
//   a: [batch, m, k] or its transpose   b: [batch, k, n] or its transpose   bias, scale: [n]   residual, c: [batch, m, n]
//   one subgroup per workgroup makes ROWS × 8·SG of c: a lane holds columns lane + SG·j of every row, loads of a hold eight rows
//   and are broadcast. No workgroup memory and no barrier.
//   numerics: f32 sums in order of k; rows and columns beyond the edge compute a copy of the last one and are not stored

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup, at least 8
const ROWS: u32 = 32; // rows of c per workgroup: 8, 16, 24, 32 or 40
const GROUP: u32 = 8; // row tiles that share a strip of b
const TRANSPOSE_A: bool = false;
const TRANSPOSE_B: bool = false;
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

@group(0) @binding(0) var<storage, read> a: array<Elem>;
@group(0) @binding(1) var<storage, read> b: array<Elem>;
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
  let from_a = tile.z * params.strideA;
  let from_b = tile.z * params.strideB;
  let row_step = select(params.k, 1u, TRANSPOSE_A);
  let k_step = select(1u, params.m, TRANSPOSE_A);
  let col_step = select(1u, params.k, TRANSPOSE_B);
  let kb_step = select(params.n, 1u, TRANSPOSE_B);
  let last_row = params.m - 1u;
  let i0 = from_a + min(row + (lane & 7u), last_row) * row_step;
  let i1 = from_a + min(row + 8u + (lane & 7u), last_row) * row_step;
  let i2 = from_a + min(row + 16u + (lane & 7u), last_row) * row_step;
  let i3 = from_a + min(row + 24u + (lane & 7u), last_row) * row_step;
  let i4 = from_a + min(row + 32u + (lane & 7u), last_row) * row_step;
  let last_col = params.n - 1u;
  let j0 = from_b + min(col, last_col) * col_step;
  let j1 = from_b + min(col + SG, last_col) * col_step;
  let j2 = from_b + min(col + 2u * SG, last_col) * col_step;
  let j3 = from_b + min(col + 3u * SG, last_col) * col_step;
  let j4 = from_b + min(col + 4u * SG, last_col) * col_step;
  let j5 = from_b + min(col + 5u * SG, last_col) * col_step;
  let j6 = from_b + min(col + 6u * SG, last_col) * col_step;
  let j7 = from_b + min(col + 7u * SG, last_col) * col_step;
  var c00 = mat4x4f(); var c01 = mat4x4f(); var c02 = mat4x4f(); var c03 = mat4x4f();
  var c10 = mat4x4f(); var c11 = mat4x4f(); var c12 = mat4x4f(); var c13 = mat4x4f();
  var c20 = mat4x4f(); var c21 = mat4x4f(); var c22 = mat4x4f(); var c23 = mat4x4f();
  var c30 = mat4x4f(); var c31 = mat4x4f(); var c32 = mat4x4f(); var c33 = mat4x4f();
  var c40 = mat4x4f(); var c41 = mat4x4f(); var c42 = mat4x4f(); var c43 = mat4x4f();
  for (var p = 0u; p < params.k; p += 2u) {
    // The second half of the last step of an odd k adds zero. All loads come before the arithmetic: a CPU driver branches around
    // every load and would spill the products in between.
    let q = min(p + 1u, params.k - 1u);
    let alone = q == p;
    let pa = p * k_step;
    let qa = q * k_step;
    let pb = p * kb_step;
    let qb = q * kb_step;
    let y0 = vec4f(f32(b[j0 + pb]), f32(b[j1 + pb]), f32(b[j2 + pb]), f32(b[j3 + pb]));
    let y1 = vec4f(f32(b[j4 + pb]), f32(b[j5 + pb]), f32(b[j6 + pb]), f32(b[j7 + pb]));
    let z0 = select(
      vec4f(f32(b[j0 + qb]), f32(b[j1 + qb]), f32(b[j2 + qb]), f32(b[j3 + qb])),
      vec4f(0.0),
      alone,
    );
    let z1 = select(
      vec4f(f32(b[j4 + qb]), f32(b[j5 + qb]), f32(b[j6 + qb]), f32(b[j7 + qb])),
      vec4f(0.0),
      alone,
    );
    let u0 = f32(a[i0 + pa]);
    let v0 = select(f32(a[i0 + qa]), 0.0, alone);
    var u1 = 0.0; var v1 = 0.0; var u2 = 0.0; var v2 = 0.0; var u3 = 0.0; var v3 = 0.0; var u4 = 0.0; var v4 = 0.0;
    if (ROWS > 8u) { u1 = f32(a[i1 + pa]); v1 = select(f32(a[i1 + qa]), 0.0, alone); }
    if (ROWS > 16u) { u2 = f32(a[i2 + pa]); v2 = select(f32(a[i2 + qa]), 0.0, alone); }
    if (ROWS > 24u) { u3 = f32(a[i3 + pa]); v3 = select(f32(a[i3 + qa]), 0.0, alone); }
    if (ROWS > 32u) { u4 = f32(a[i4 + pa]); v4 = select(f32(a[i4 + qa]), 0.0, alone); }
    let u0l = low4(u0); let u0h = high4(u0); let v0l = low4(v0); let v0h = high4(v0);
    c00 = outer2(c00, u0l, y0, v0l, z0);
    c01 = outer2(c01, u0l, y1, v0l, z1);
    c02 = outer2(c02, u0h, y0, v0h, z0);
    c03 = outer2(c03, u0h, y1, v0h, z1);
    if (ROWS > 8u) {
      let u1l = low4(u1); let u1h = high4(u1); let v1l = low4(v1); let v1h = high4(v1);
      c10 = outer2(c10, u1l, y0, v1l, z0);
      c11 = outer2(c11, u1l, y1, v1l, z1);
      c12 = outer2(c12, u1h, y0, v1h, z0);
      c13 = outer2(c13, u1h, y1, v1h, z1);
    }
    if (ROWS > 16u) {
      let u2l = low4(u2); let u2h = high4(u2); let v2l = low4(v2); let v2h = high4(v2);
      c20 = outer2(c20, u2l, y0, v2l, z0);
      c21 = outer2(c21, u2l, y1, v2l, z1);
      c22 = outer2(c22, u2h, y0, v2h, z0);
      c23 = outer2(c23, u2h, y1, v2h, z1);
    }
    if (ROWS > 24u) {
      let u3l = low4(u3); let u3h = high4(u3); let v3l = low4(v3); let v3h = high4(v3);
      c30 = outer2(c30, u3l, y0, v3l, z0);
      c31 = outer2(c31, u3l, y1, v3l, z1);
      c32 = outer2(c32, u3h, y0, v3h, z0);
      c33 = outer2(c33, u3h, y1, v3h, z1);
    }
    if (ROWS > 32u) {
      let u4l = low4(u4); let u4h = high4(u4); let v4l = low4(v4); let v4h = high4(v4);
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
