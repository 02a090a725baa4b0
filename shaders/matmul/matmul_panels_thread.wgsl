// c[z] = residual + scale · activation(a[z] · b[z] + bias), both operands as panels of 64 rows or columns (see pack_panels.wgsl)
//
//   a: [batch | 1, ⌈m/64⌉, k, 64]   b: [batch | 1, ⌈n/64⌉, k, 64]   k even, n divisible by 4   bias, scale: [n]   residual, c: [batch, m, n]
//   a thread holds 16 rows × four vec4 columns of c in registers, eight threads two panels of b: for CPU drivers without subgroups.
//   numerics: f32 sums in order of k; rows and columns beyond the edge meet zeros and are not stored

alias Elem = f32;
const WG: u32 = 8; // threads per workgroup, along n
const GROUP: u32 = 8; // row tiles that share a panel of b
const ACTIVATION: u32 = 0; // code of activate4
const HAS_BIAS: bool = false;
const HAS_SCALE: bool = false;
const HAS_RESIDUAL: bool = false;
const SYMMETRIC: bool = false; // b is a: tiles above the diagonal are not made but mirrored
const_assert WG == 8;

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

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row_tiles = (params.m + 15u) / 16u;
  let panels = (params.n + 63u) / 64u;
  let col_tiles = (panels + 1u) / 2u;
  let tiles = select(row_tiles * col_tiles, col_tiles * (col_tiles + 1u) / 2u * 8u, SYMMETRIC) * params.batch;
  var t = wid.y * nwg.x + wid.x;
  if (t >= tiles) {
    return; // the grid was folded and has a few workgroups too many
  }
  if (params.terms != 0u) { t = paired(t, tiles); }
  var tile = matmul_tile(t, row_tiles, col_tiles, GROUP);
  if (SYMMETRIC) { tile = symmetric_tile(t, col_tiles, 8u); }
  let row = tile.x * 16u;
  if (row >= params.m) {
    return;
  }
  let from_a = tile.z * (params.strideA / 4u) + (row / 64u) * params.k * 16u + (row % 64u) / 4u;
  let from_b = tile.z * (params.strideB / 4u) + tile.y * 2u * params.k * 16u + lane;
  let next = select(0u, params.k * 16u, tile.y * 2u + 1u < panels); // the last tile may have one panel: it is done twice
  var c00 = mat4x4f(); var c01 = mat4x4f(); var c02 = mat4x4f(); var c03 = mat4x4f();
  var c10 = mat4x4f(); var c11 = mat4x4f(); var c12 = mat4x4f(); var c13 = mat4x4f();
  var c20 = mat4x4f(); var c21 = mat4x4f(); var c22 = mat4x4f(); var c23 = mat4x4f();
  var c30 = mat4x4f(); var c31 = mat4x4f(); var c32 = mat4x4f(); var c33 = mat4x4f();
  let terms = terms_of(params.terms, params.k, row / 64u * 64u, 64u, tile.y * 128u);
  for (var p = terms.x; p < terms.y; p += 2u) {
    let at_a = from_a + p * 16u;
    let at_b = from_b + p * 16u;
    let y0 = vec4f(b[at_b]);
    let z0 = vec4f(b[at_b + 16u]);
    let y1 = vec4f(b[at_b + 8u]);
    let z1 = vec4f(b[at_b + 24u]);
    let y2 = vec4f(b[at_b + next]);
    let z2 = vec4f(b[at_b + next + 16u]);
    let y3 = vec4f(b[at_b + next + 8u]);
    let z3 = vec4f(b[at_b + next + 24u]);
    let p0 = vec4f(a[at_a]);
    let q0 = vec4f(a[at_a + 16u]);
    let p1 = vec4f(a[at_a + 1u]);
    let q1 = vec4f(a[at_a + 17u]);
    let p2 = vec4f(a[at_a + 2u]);
    let q2 = vec4f(a[at_a + 18u]);
    let p3 = vec4f(a[at_a + 3u]);
    let q3 = vec4f(a[at_a + 19u]);
    c00 = outer2(c00, p0, y0, q0, z0);
    c01 = outer2(c01, p0, y1, q0, z1);
    c02 = outer2(c02, p0, y2, q0, z2);
    c03 = outer2(c03, p0, y3, q0, z3);
    c10 = outer2(c10, p1, y0, q1, z0);
    c11 = outer2(c11, p1, y1, q1, z1);
    c12 = outer2(c12, p1, y2, q1, z2);
    c13 = outer2(c13, p1, y3, q1, z3);
    c20 = outer2(c20, p2, y0, q2, z0);
    c21 = outer2(c21, p2, y1, q2, z1);
    c22 = outer2(c22, p2, y2, q2, z2);
    c23 = outer2(c23, p2, y3, q2, z3);
    c30 = outer2(c30, p3, y0, q3, z0);
    c31 = outer2(c31, p3, y1, q3, z1);
    c32 = outer2(c32, p3, y2, q3, z2);
    c33 = outer2(c33, p3, y3, q3, z3);
  }
  for (var i = 0u; i < 4u; i++) {
    let b0 = (i & 1u) != 0u;
    let b1 = (i & 2u) != 0u;
    let d0 = pick(pick(c00, c10, b0), pick(c20, c30, b0), b1);
    let d1 = pick(pick(c01, c11, b0), pick(c21, c31, b0), b1);
    let d2 = pick(pick(c02, c12, b0), pick(c22, c32, b0), b1);
    let d3 = pick(pick(c03, c13, b0), pick(c23, c33, b0), b1);
    let at = row + i * 4u;
    let col = tile.y * 32u + lane;
    finish_rows(d0, tile.z, at, col);
    finish_rows(d1, tile.z, at, col + 8u);
    if (next != 0u) {
      finish_rows(d2, tile.z, at, col + 16u);
      finish_rows(d3, tile.z, at, col + 24u);
    }
  }
}
