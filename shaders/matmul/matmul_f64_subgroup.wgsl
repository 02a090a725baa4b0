// c[z] = a[z]·b[z] in double precision, both operands packed (see pack_f64.wgsl)
//
//   a: [batch | 1, ⌈m/32⌉, k/4, 32, 4]   b: [batch | 1, ⌈n/32⌉, k, 32]   k divisible by 4   c: [batch, m, n]
//   one subgroup per workgroup makes 32 × 32 of c: a lane holds four columns of every row; one vec4 load of a holds four steps of
//   eight rows and is broadcast, because a CPU driver spends more on a load than on sixteen sums
//   numerics: f64 sums in order of k; what lies beyond the edge meets zeros and is not stored

const SG: u32 = 8; // lanes of a subgroup
const GROUP: u32 = 8; // row tiles that share a panel of b
const SYMMETRIC: bool = false; // b is a: panels above the diagonal are not made but mirrored
const_assert SG == 8;

struct Params {
  batch: u32,
  m: u32,
  n: u32,
  k: u32,
  strideA: u32,
  strideB: u32,
  terms: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4<f64>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f64>>;
@group(0) @binding(2) var<storage, read_write> c: array<f64>;
@group(0) @binding(3) var<uniform> params: Params;

struct Rows {
  r0: vec4<f64>,
  r1: vec4<f64>,
  r2: vec4<f64>,
  r3: vec4<f64>,
  r4: vec4<f64>,
  r5: vec4<f64>,
  r6: vec4<f64>,
  r7: vec4<f64>,
}

struct Steps {
  y0: vec4<f64>,
  y1: vec4<f64>,
  y2: vec4<f64>,
  y3: vec4<f64>,
}

fn four(c: vec4<f64>, v: vec4<f64>, y: Steps) -> vec4<f64> {
  return c + v.x * y.y0 + v.y * y.y1 + v.z * y.y2 + v.w * y.y3;
}

// Four steps of k: v holds those of a row in each lane.
fn advance(c: Rows, v: vec4<f64>, y: Steps) -> Rows {
  return Rows(
    four(c.r0, subgroupBroadcast(v, 0u), y),
    four(c.r1, subgroupBroadcast(v, 1u), y),
    four(c.r2, subgroupBroadcast(v, 2u), y),
    four(c.r3, subgroupBroadcast(v, 3u), y),
    four(c.r4, subgroupBroadcast(v, 4u), y),
    four(c.r5, subgroupBroadcast(v, 5u), y),
    four(c.r6, subgroupBroadcast(v, 6u), y),
    four(c.r7, subgroupBroadcast(v, 7u), y),
  );
}

fn store(sums: vec4<f64>, z: u32, row: u32, col: u32) {
  for (var q = 0u; q < 4u; q++) {
    let j = col + q;
    if (row < params.m && j < params.n) {
      let value = select(select(sums.x, sums.y, q == 1u), select(sums.z, sums.w, q == 3u), q >= 2u);
      c[(z * params.m + row) * params.n + j] = value;
      if (SYMMETRIC && j / 32u < row / 32u) { c[(z * params.m + j) * params.n + row] = value; }
    }
  }
}

fn store8(sums: Rows, z: u32, row: u32, col: u32) {
  store(sums.r0, z, row, col);
  store(sums.r1, z, row + 1u, col);
  store(sums.r2, z, row + 2u, col);
  store(sums.r3, z, row + 3u, col);
  store(sums.r4, z, row + 4u, col);
  store(sums.r5, z, row + 5u, col);
  store(sums.r6, z, row + 6u, col);
  store(sums.r7, z, row + 7u, col);
}

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row_tiles = (params.m + 31u) / 32u;
  let col_tiles = (params.n + 31u) / 32u;
  let tiles = select(row_tiles * col_tiles, col_tiles * (col_tiles + 1u) / 2u, SYMMETRIC) * params.batch;
  var t = wid.y * nwg.x + wid.x;
  if (t >= tiles) {
    return; // the grid was folded and has a few workgroups too many
  }
  if (params.terms != 0u) { t = paired(t, tiles); }
  var tile = matmul_tile(t, row_tiles, col_tiles, GROUP);
  if (SYMMETRIC) { tile = symmetric_tile(t, col_tiles, 1u); }
  let from_a = tile.z * (params.strideA / 4u) + tile.x * params.k * 8u + lane;
  let from_b = tile.z * (params.strideB / 4u) + tile.y * params.k * 8u + lane;
  var top = Rows();
  var upper = Rows();
  var lower = Rows();
  var bottom = Rows();
  let terms = terms_of(params.terms, params.k, tile.x * 32u, 32u, tile.y * 32u);
  for (var p = terms.x; p < terms.y; p += 4u) {
    // All loads before the arithmetic: a CPU driver branches around every load and would spill the sums in between.
    let at_a = from_a + p * 8u;
    let at_b = from_b + p * 8u;
    let y = Steps(b[at_b], b[at_b + 8u], b[at_b + 16u], b[at_b + 24u]);
    let x0 = a[at_a];
    let x1 = a[at_a + 8u];
    let x2 = a[at_a + 16u];
    let x3 = a[at_a + 24u];
    top = advance(top, x0, y);
    upper = advance(upper, x1, y);
    lower = advance(lower, x2, y);
    bottom = advance(bottom, x3, y);
  }
  let row = tile.x * 32u;
  let col = tile.y * 32u + lane * 4u;
  store8(top, tile.z, row, col);
  store8(upper, tile.z, row + 8u, col);
  store8(lower, tile.z, row + 16u, col);
  store8(bottom, tile.z, row + 24u, col);
}
