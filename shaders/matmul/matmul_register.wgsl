// c[z] = residual + scale · activation(a[z] · b[z] + bias), neither operand transposed, k even, n divisible by 4
//
//   a: [batch, m, k]   b: [batch, k, n]   bias, scale: [n]   residual, c: [batch, m, n]
//   a thread holds 16 rows × two vec4 columns of c in registers and reads a and b straight from memory: for CPU drivers without
//   subgroups, where a barrier costs more than the loads that it saves
//   numerics: f32 sums in order of k; rows and columns beyond the edge compute a copy of the last one and are not stored

alias Elem = f32;
const WG: u32 = 8; // threads per workgroup, along n
const GROUP: u32 = 16; // row tiles that share a strip of b
const ACTIVATION: u32 = 0; // code of activate4
const HAS_BIAS: bool = false;
const HAS_SCALE: bool = false;
const HAS_RESIDUAL: bool = false;

struct Params {
  batch: u32,
  m: u32,
  n: u32,
  k: u32,
  strideA: u32,
  strideB: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec2<Elem>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read> scale: array<vec4<Elem>>;
@group(0) @binding(4) var<storage, read> residual: array<vec4<Elem>>;
@group(0) @binding(5) var<storage, read_write> c: array<vec4<Elem>>;
@group(0) @binding(6) var<uniform> params: Params;

// Four rows (one per column of the matrix type), two steps of k.
fn outer2(c: mat4x4f, x: mat4x2f, y: vec4f, z: vec4f) -> mat4x4f {
  return mat4x4f(
    c[0] + x[0].x * y + x[0].y * z,
    c[1] + x[1].x * y + x[1].y * z,
    c[2] + x[2].x * y + x[2].y * z,
    c[3] + x[3].x * y + x[3].y * z,
  );
}

fn row_of4(c: mat4x4f, r: u32) -> vec4f {
  return select(select(c[0], c[1], r == 1u), select(c[2], c[3], r == 3u), r >= 2u);
}

fn finish(sum: vec4f, z: u32, row: u32, col: u32) {
  let n4 = params.n / 4u;
  if (row >= params.m || col >= n4) {
    return;
  }
  let at = (z * params.m + row) * n4 + col;
  var y = sum;
  if (HAS_BIAS) { y += vec4f(bias[col]); }
  y = activate4(ACTIVATION, y);
  if (HAS_SCALE) { y *= vec4f(scale[col]); }
  if (HAS_RESIDUAL) { y += vec4f(residual[at]); }
  c[at] = vec4<Elem>(y);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lid: u32,
) {
  let row_tiles = (params.m + 15u) / 16u;
  let n4 = params.n / 4u;
  let col_tiles = (n4 + WG * 2u - 1u) / (WG * 2u);
  let t = wid.y * nwg.x + wid.x;
  if (t >= row_tiles * col_tiles * params.batch) {
    return; // the grid was folded and has a few workgroups too many
  }
  let tile = matmul_tile(t, row_tiles, col_tiles, GROUP);
  let row = tile.x * 16u;
  let col = tile.y * (WG * 2u) + lid;
  let k2 = params.k / 2u;
  let from_a = tile.z * (params.strideA / 2u);
  let from_b = tile.z * (params.strideB / 4u);
  let last = params.m - 1u;
  let i0 = from_a + min(row + 0u, last) * k2;
  let i1 = from_a + min(row + 1u, last) * k2;
  let i2 = from_a + min(row + 2u, last) * k2;
  let i3 = from_a + min(row + 3u, last) * k2;
  let i4 = from_a + min(row + 4u, last) * k2;
  let i5 = from_a + min(row + 5u, last) * k2;
  let i6 = from_a + min(row + 6u, last) * k2;
  let i7 = from_a + min(row + 7u, last) * k2;
  let i8 = from_a + min(row + 8u, last) * k2;
  let i9 = from_a + min(row + 9u, last) * k2;
  let i10 = from_a + min(row + 10u, last) * k2;
  let i11 = from_a + min(row + 11u, last) * k2;
  let i12 = from_a + min(row + 12u, last) * k2;
  let i13 = from_a + min(row + 13u, last) * k2;
  let i14 = from_a + min(row + 14u, last) * k2;
  let i15 = from_a + min(row + 15u, last) * k2;
  let j0 = from_b + min(col, n4 - 1u);
  let j1 = from_b + min(col + WG, n4 - 1u);
  var c00 = mat4x4f(); var c01 = mat4x4f(); var c10 = mat4x4f(); var c11 = mat4x4f();
  var c20 = mat4x4f(); var c21 = mat4x4f(); var c30 = mat4x4f(); var c31 = mat4x4f();
  for (var p = 0u; p < k2; p++) {
    let y0 = vec4f(b[j0 + 2u * p * n4]);
    let y1 = vec4f(b[j1 + 2u * p * n4]);
    let z0 = vec4f(b[j0 + (2u * p + 1u) * n4]);
    let z1 = vec4f(b[j1 + (2u * p + 1u) * n4]);
    let x0 = mat4x2f(
      vec2f(a[i0 + p]),
      vec2f(a[i1 + p]),
      vec2f(a[i2 + p]),
      vec2f(a[i3 + p]),
    );
    let x1 = mat4x2f(
      vec2f(a[i4 + p]),
      vec2f(a[i5 + p]),
      vec2f(a[i6 + p]),
      vec2f(a[i7 + p]),
    );
    let x2 = mat4x2f(
      vec2f(a[i8 + p]),
      vec2f(a[i9 + p]),
      vec2f(a[i10 + p]),
      vec2f(a[i11 + p]),
    );
    let x3 = mat4x2f(
      vec2f(a[i12 + p]),
      vec2f(a[i13 + p]),
      vec2f(a[i14 + p]),
      vec2f(a[i15 + p]),
    );
    c00 = outer2(c00, x0, y0, z0);
    c01 = outer2(c01, x0, y1, z1);
    c10 = outer2(c10, x1, y0, z0);
    c11 = outer2(c11, x1, y1, z1);
    c20 = outer2(c20, x2, y0, z0);
    c21 = outer2(c21, x2, y1, z1);
    c30 = outer2(c30, x3, y0, z0);
    c31 = outer2(c31, x3, y1, z1);
  }
  for (var r = 0u; r < 4u; r++) {
    finish(row_of4(c00, r), tile.z, row + r, col);
    finish(row_of4(c01, r), tile.z, row + r, col + WG);
    finish(row_of4(c10, r), tile.z, row + 4u + r, col);
    finish(row_of4(c11, r), tile.z, row + 4u + r, col + WG);
    finish(row_of4(c20, r), tile.z, row + 8u + r, col);
    finish(row_of4(c21, r), tile.z, row + 8u + r, col + WG);
    finish(row_of4(c30, r), tile.z, row + 12u + r, col);
    finish(row_of4(c31, r), tile.z, row + 12u + r, col + WG);
  }
}
