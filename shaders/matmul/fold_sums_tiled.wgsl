// sums of predictions p = a · b and of their agreement with responses y, over blocks of 64 rows; the predictions are never stored
//
//   a: [⌈m/64⌉, k, 64]   b: [n/64, rowsB, 64]   y: [n/64, rowsY, 64]   panels, see pack_panels.wgsl   shift: [n]
//   sums: [blocks, n, 4]: Σp', Σp'², Σy'p', Σ(y' − p')² with y' = y − shift and p' = p − both · shift
//   row j of b meets place j of a before skipStart, place j − skipCount after the rows left out; row i of a's result meets row
//   testStart + i of y
//   64 threads make 64 × 64 of p; strips of a and b pass through workgroup memory, BK steps of k at a time; a thread holds blocks of
//   4 × 4 that lie 32 apart, so neighbours read neighbouring vec4s; the sums of eight threads meet in workgroup memory
//   numerics: f32 sums in order of k, then of 8 rows of a thread, then of 8 threads; columns beyond the last are zero in b and y

const BK: u32 = 16; // steps of k per pass
const GROUP: u32 = 8; // row tiles that share a panel of b
const_assert BK * 16u * 32u + 512u * 16u <= 16384u;

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

var<workgroup> strip_a: array<vec4f, BK * 16>;
var<workgroup> strip_b: array<vec4f, BK * 16>;
var<workgroup> parts: array<vec4f, 512>; // [8 rows of threads, 64 columns]

fn outer(c: mat4x4f, x: vec4f, y: vec4f) -> mat4x4f {
  return mat4x4f(c[0] + x.x * y, c[1] + x.y * y, c[2] + x.z * y, c[3] + x.w * y);
}

fn share(s: FoldSums, at: u32) {
  parts[at] = vec4f(s.p.x, s.pp.x, s.yp.x, s.error.x);
  parts[at + 1u] = vec4f(s.p.y, s.pp.y, s.yp.y, s.error.y);
  parts[at + 2u] = vec4f(s.p.z, s.pp.z, s.yp.z, s.error.z);
  parts[at + 3u] = vec4f(s.p.w, s.pp.w, s.yp.w, s.error.w);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lid: u32,
) {
  let panels = params.n / 64u;
  let t = wid.y * nwg.x + wid.x;
  if (t >= params.blocks * panels) {
    return; // the grid was folded and has a few workgroups too many
  }
  let tile = matmul_tile(t, params.blocks, panels, GROUP);
  let tx = lid % 8u;
  let ty = lid / 8u;
  var c00 = mat4x4f(); var c01 = mat4x4f(); var c10 = mat4x4f(); var c11 = mat4x4f();
  for (var p0 = 0u; p0 < params.k; p0 += BK) {
    for (var e = lid; e < BK * 16u; e += 64u) {
      let p = p0 + e / 16u;
      var from_a = vec4f(0.0);
      var from_b = vec4f(0.0);
      if (p < params.k) {
        let row = p + select(0u, params.skipCount, p >= params.skipStart);
        from_a = a[(tile.x * params.k + p) * 16u + e % 16u];
        from_b = b[(tile.y * params.rowsB + row) * 16u + e % 16u];
      }
      strip_a[e] = from_a;
      strip_b[e] = from_b;
    }
    workgroupBarrier();
    for (var p = 0u; p < BK; p++) {
      let x0 = strip_a[p * 16u + ty];
      let x1 = strip_a[p * 16u + ty + 8u];
      let y0 = strip_b[p * 16u + tx];
      let y1 = strip_b[p * 16u + tx + 8u];
      c00 = outer(c00, x0, y0);
      c01 = outer(c01, x0, y1);
      c10 = outer(c10, x1, y0);
      c11 = outer(c11, x1, y1);
    }
    workgroupBarrier();
  }
  let from_y = (tile.y * params.rowsY + params.testStart + tile.x * 64u) * 16u + tx;
  let rows = params.m - tile.x * 64u; // of which a block has 64 at most
  let shift0 = shift[tile.y * 16u + tx];
  let shift1 = shift[tile.y * 16u + tx + 8u];
  var sums0 = FoldSums();
  var sums1 = FoldSums();
  for (var i = 0u; i < 8u; i++) {
    let row = ty * 4u + (i & 3u) + select(0u, 32u, i >= 4u);
    let left = pick(c00, c10, i >= 4u);
    let right = pick(c01, c11, i >= 4u);
    let at = from_y + min(row, rows - 1u) * 16u;
    sums0 = grown(sums0, row_of4(left, i & 3u), y[at], shift0, row < rows);
    sums1 = grown(sums1, row_of4(right, i & 3u), y[at + 8u], shift1, row < rows);
  }
  share(sums0, ty * 64u + tx * 4u);
  share(sums1, ty * 64u + tx * 4u + 32u);
  workgroupBarrier();
  var total = vec4f(0.0);
  for (var i = 0u; i < 8u; i++) {
    total += parts[i * 64u + lid];
  }
  sums[tile.x * params.n + tile.y * 64u + lid] = total;
}
