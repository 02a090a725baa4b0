// sums of predictions p = a · b and of their agreement with responses y, over blocks of 64 rows; the predictions are never stored
//
//   a: [⌈m/64⌉, k, 64]   b: [n/64, rowsB, 64]   y: [n/64, rowsY, 64]   panels, see pack_panels.wgsl   shift: [n]
//   sums: [blocks, n, 4]: Σp', Σp'², Σy'p', Σ(y' − p')² with y' = y − shift and p' = p − both · shift
//   row j of b meets place j of a before skipStart, place j − skipCount after the rows left out; row i of a's result meets row
//   testStart + i of y
//   a thread holds 16 rows × four vec4 columns in registers and takes the rows of a block in four turns, eight threads two panels of b:
//   for CPU drivers without subgroups
//   numerics: f32 sums in order of k, then of the rows; columns beyond the last are zero in b and y

const WG: u32 = 8; // threads per workgroup, along n
const GROUP: u32 = 8; // row tiles that share a panel of b
const_assert WG == 8;

struct Params {
  m: u32,
  n: u32,
  k: u32,
  rowsB: u32,
  rowsY: u32,
  blocks: u32,
  skipStart: u32,
  skipCount: u32,
  testStart: u32,
  both: f32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read> y: array<vec4f>;
@group(0) @binding(3) var<storage, read> shift: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let panels = params.n / 64u;
  let col_tiles = (panels + 1u) / 2u;
  let t = wid.y * nwg.x + wid.x;
  if (t >= params.blocks * col_tiles) {
    return; // the grid was folded and has a few workgroups too many
  }
  let tile = matmul_tile(t, params.blocks, col_tiles, GROUP);
  let panel = tile.y * 2u;
  let has_next = panel + 1u < panels; // the last tile may have one panel: it is done twice and stored once
  let next = select(0u, params.rowsB * 16u, has_next);
  let next_y = select(0u, params.rowsY * 16u, has_next);
  let next_shift = select(0u, 16u, has_next);
  let from_b = panel * params.rowsB * 16u + lane;
  let from_y = (panel * params.rowsY + params.testStart + tile.x * 64u) * 16u + lane;
  let rows = params.m - tile.x * 64u; // of which a block has 64 at most
  let shift0 = shift[panel * 16u + lane];
  let shift1 = shift[panel * 16u + lane + 8u];
  let shift2 = shift[panel * 16u + lane + next_shift];
  let shift3 = shift[panel * 16u + lane + next_shift + 8u];
  var sums0 = FoldSums();
  var sums1 = FoldSums();
  var sums2 = FoldSums();
  var sums3 = FoldSums();
  for (var turn = 0u; turn < 4u && turn * 16u < rows; turn++) {
    let from_a = tile.x * params.k * 16u + turn * 4u;
    var c00 = mat4x4f(); var c01 = mat4x4f(); var c02 = mat4x4f(); var c03 = mat4x4f();
    var c10 = mat4x4f(); var c11 = mat4x4f(); var c12 = mat4x4f(); var c13 = mat4x4f();
    var c20 = mat4x4f(); var c21 = mat4x4f(); var c22 = mat4x4f(); var c23 = mat4x4f();
    var c30 = mat4x4f(); var c31 = mat4x4f(); var c32 = mat4x4f(); var c33 = mat4x4f();
    for (var p = 0u; p < params.k; p += 2u) {
      let at_a = from_a + p * 16u;
      let at_b = from_b + (p + select(0u, params.skipCount, p >= params.skipStart)) * 16u;
      let at_z = from_b + (p + 1u + select(0u, params.skipCount, p + 1u >= params.skipStart)) * 16u;
      let y0 = b[at_b];
      let z0 = b[at_z];
      let y1 = b[at_b + 8u];
      let z1 = b[at_z + 8u];
      let y2 = b[at_b + next];
      let z2 = b[at_z + next];
      let y3 = b[at_b + next + 8u];
      let z3 = b[at_z + next + 8u];
      let p0 = a[at_a];
      let q0 = a[at_a + 16u];
      let p1 = a[at_a + 1u];
      let q1 = a[at_a + 17u];
      let p2 = a[at_a + 2u];
      let q2 = a[at_a + 18u];
      let p3 = a[at_a + 3u];
      let q3 = a[at_a + 19u];
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
      for (var r = 0u; r < 4u; r++) {
        let row = turn * 16u + i * 4u + r;
        let at = from_y + min(row, rows - 1u) * 16u;
        sums0 = grown(sums0, row_of4(d0, r), y[at], shift0, row < rows);
        sums1 = grown(sums1, row_of4(d1, r), y[at + 8u], shift1, row < rows);
        sums2 = grown(sums2, row_of4(d2, r), y[at + next_y], shift2, row < rows);
        sums3 = grown(sums3, row_of4(d3, r), y[at + next_y + 8u], shift3, row < rows);
      }
    }
  }
  let to = tile.x * params.n + panel * 64u + lane * 4u;
  store_sums(sums0, to);
  store_sums(sums1, to + 32u);
  if (has_next) {
    store_sums(sums2, to + 64u);
    store_sums(sums3, to + 96u);
  }
}
