// sums of predictions p = a · b and of their agreement with responses y, over blocks of 64 rows; the predictions are never stored
//
//   a: [⌈m/64⌉, k, 64]   b: [n/64, rowsB, 64]   y: [n/64, rowsY, 64]   panels, see pack_panels.wgsl   shift: [n]
//   sums: [blocks, n, 4]: Σp', Σp'², Σy'p', Σ(y' − p')² with y' = y − shift and p' = p − both · shift
//   row j of b meets place j of a before skipStart, place j − skipCount after the rows left out; row i of a's result meets row
//   testStart + i of y
//   one thread per four columns of a block
//   numerics: f32 sums in order of k, then of the rows; columns beyond the last are zero in b and y

const WG: u32 = 64;

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
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let n4 = params.n / 4u;
  let col = i % n4;
  let block = i / n4;
  if (block >= params.blocks) {
    return;
  }
  let panel = col / 16u;
  let rows = min(params.m - block * 64u, 64u);
  var total = FoldSums();
  for (var row = 0u; row < rows; row++) {
    var p = vec4f(0.0);
    for (var j = 0u; j < params.k; j++) {
      let source = j + select(0u, params.skipCount, j >= params.skipStart);
      p += a[(block * params.k + j) * 16u + row / 4u][row % 4u] * b[(panel * params.rowsB + source) * 16u + col % 16u];
    }
    let at = (panel * params.rowsY + params.testStart + block * 64u + row) * 16u + col % 16u;
    total = grown(total, p, y[at], shift[col], true);
  }
  store_sums(total, block * params.n + col * 4u);
}
