// c[z] = residual + scale · activation(op(a[z]) · op(b[z]) + bias), any sizes, either operand transposed
//
//   a: [batch, m, k] or its transpose   b: [batch, k, n] or its transpose   bias, scale: [n]   residual, c: [batch, m, n]
//   64 threads make 32·ROW_BLOCKS × 32·COL_BLOCKS of c; strips of a and b pass through workgroup memory, BK steps of k at a time,
//   stored as vec4s along m and n. A thread holds blocks of 4×4 that lie 32 apart, so neighbours read neighbouring vec4s.
//   numerics: f32 sums in order of k; loads beyond the edge are zero, so the inner loop needs no masks

alias Elem = f32;
const BK: u32 = 16; // steps of k per pass
const ROW_BLOCKS: u32 = 2; // 1 or 2
const COL_BLOCKS: u32 = 2; // 1 or 2
const GROUP: u32 = 8; // row tiles that share a strip of b
const TRANSPOSE_A: bool = false;
const TRANSPOSE_B: bool = false;
const ACTIVATION: u32 = 0; // code of activate4
const HAS_BIAS: bool = false;
const HAS_SCALE: bool = false;
const HAS_RESIDUAL: bool = false;
const SYMMETRIC: bool = false; // b is a: tiles above the diagonal are not made but mirrored
const ROWS4: u32 = 8 * ROW_BLOCKS; // vec4s along m
const COLS4: u32 = 8 * COL_BLOCKS; // vec4s along n
const_assert ROW_BLOCKS == 1 || ROW_BLOCKS == 2;
const_assert COL_BLOCKS == 1 || COL_BLOCKS == 2;
const_assert !SYMMETRIC || ROW_BLOCKS == COL_BLOCKS;

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

var<workgroup> strip_a: array<vec4f, BK * ROWS4>;
var<workgroup> strip_b: array<vec4f, BK * COLS4>;

fn outer(c: mat4x4f, x: vec4f, y: vec4f) -> mat4x4f {
  return mat4x4f(c[0] + x.x * y, c[1] + x.y * y, c[2] + x.z * y, c[3] + x.w * y);
}

// Which vec4 of a strip thread-step e fills: (step of k, vec4), so that neighbouring threads read neighbouring values.
fn place(e: u32, width: u32, along_k: bool) -> vec2u {
  return select(vec2u(e / width, e % width), vec2u(e % BK, e / BK), along_k);
}

fn load_a(from_a: u32, row: u32, p: u32) -> f32 {
  var v = 0.0;
  if (row < params.m && p < params.k) {
    v = f32(a[from_a + select(row * params.k + p, p * params.m + row, TRANSPOSE_A)]);
  }
  return v;
}

fn load_b(from_b: u32, p: u32, col: u32) -> f32 {
  var v = 0.0;
  if (col < params.n && p < params.k) {
    v = f32(b[from_b + select(p * params.n + col, col * params.k + p, TRANSPOSE_B)]);
  }
  return v;
}

fn finish(sum: vec4f, z: u32, row: u32, col: u32, mirror: bool) {
  if (row >= params.m) {
    return;
  }
  let at = (z * params.m + row) * params.n;
  var y = sum;
  if (HAS_BIAS) {
    let last = params.n - 1u;
    let j = min(vec4u(col, col + 1u, col + 2u, col + 3u), vec4u(last));
    y += vec4f(f32(bias[j.x]), f32(bias[j.y]), f32(bias[j.z]), f32(bias[j.w]));
  }
  y = activate4(ACTIVATION, y);
  for (var q = 0u; q < 4u; q++) {
    let j = col + q;
    if (j < params.n) {
      var v = select(select(y.x, y.y, q == 1u), select(y.z, y.w, q == 3u), q >= 2u);
      if (HAS_SCALE) { v *= f32(scale[j]); }
      if (HAS_RESIDUAL) { v += f32(residual[at + j]); }
      c[at + j] = Elem(v);
      if (SYMMETRIC && mirror) { c[(z * params.m + j) * params.n + row] = Elem(v); }
    }
  }
}

fn row_of4(c: mat4x4f, r: u32) -> vec4f {
  return select(select(c[0], c[1], r == 1u), select(c[2], c[3], r == 3u), r >= 2u);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lid: u32,
) {
  let row_tiles = (params.m + 4u * ROWS4 - 1u) / (4u * ROWS4);
  let col_tiles = (params.n + 4u * COLS4 - 1u) / (4u * COLS4);
  let t = wid.y * nwg.x + wid.x;
  if (!SYMMETRIC && t >= row_tiles * col_tiles * params.batch) {
    return; // the grid was folded and has a few workgroups too many
  }
  var tile = matmul_tile(t, row_tiles, col_tiles, GROUP);
  if (SYMMETRIC) { tile = symmetric_tile(t, col_tiles, 1u); }
  if (SYMMETRIC && tile.z >= params.batch) {
    return;
  }
  let mirror = tile.y < tile.x;
  let row0 = tile.x * 4u * ROWS4;
  let col0 = tile.y * 4u * COLS4;
  let from_a = tile.z * params.strideA;
  let from_b = tile.z * params.strideB;
  let tx = lid % 8u;
  let ty = lid / 8u;
  var c00 = mat4x4f(); var c01 = mat4x4f(); var c10 = mat4x4f(); var c11 = mat4x4f();
  for (var p0 = 0u; p0 < params.k; p0 += BK) {
    for (var e = lid; e < BK * ROWS4; e += 64u) {
      let to = place(e, ROWS4, !TRANSPOSE_A);
      let row = row0 + 4u * to.y;
      let p = p0 + to.x;
      strip_a[to.x * ROWS4 + to.y] = vec4f(
        load_a(from_a, row, p),
        load_a(from_a, row + 1u, p),
        load_a(from_a, row + 2u, p),
        load_a(from_a, row + 3u, p),
      );
    }
    for (var e = lid; e < BK * COLS4; e += 64u) {
      let to = place(e, COLS4, TRANSPOSE_B);
      let col = col0 + 4u * to.y;
      let p = p0 + to.x;
      strip_b[to.x * COLS4 + to.y] = vec4f(
        load_b(from_b, p, col),
        load_b(from_b, p, col + 1u),
        load_b(from_b, p, col + 2u),
        load_b(from_b, p, col + 3u),
      );
    }
    workgroupBarrier();
    for (var p = 0u; p < BK; p++) {
      let x0 = strip_a[p * ROWS4 + ty];
      let y0 = strip_b[p * COLS4 + tx];
      c00 = outer(c00, x0, y0);
      if (COL_BLOCKS == 2u) { c01 = outer(c01, x0, strip_b[p * COLS4 + tx + COLS4 / 2u]); }
      if (ROW_BLOCKS == 2u) {
        let x1 = strip_a[p * ROWS4 + ty + ROWS4 / 2u];
        c10 = outer(c10, x1, y0);
        if (COL_BLOCKS == 2u) { c11 = outer(c11, x1, strip_b[p * COLS4 + tx + COLS4 / 2u]); }
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < 4u; r++) {
    let row = row0 + 4u * ty + r;
    let col = col0 + 4u * tx;
    finish(row_of4(c00, r), tile.z, row, col, mirror);
    if (COL_BLOCKS == 2u) { finish(row_of4(c01, r), tile.z, row, col + 32u, mirror); }
    if (ROW_BLOCKS == 2u) { finish(row_of4(c10, r), tile.z, row + 32u, col, mirror); }
    if (ROW_BLOCKS == 2u && COL_BLOCKS == 2u) { finish(row_of4(c11, r), tile.z, row + 32u, col + 32u, mirror); }
  }
}
