// op(t)·x = b with t triangular and op the identity or the transpose
//
//   t: [batch, n, n], n ≤ LARGEST; its other triangle is not read   b, x: [batch, n, cols]
//   one thread per column of b; the workgroup shares op(t) in workgroup memory; substitution runs down (FORWARD) or up

alias Elem = f32;
const WG: u32 = 64;
const LARGEST: u32 = 32;
const FORWARD: bool = true;
const TRANSPOSE: bool = false;
const_assert LARGEST * LARGEST * 4u <= 16384u;

struct Params {
  batch: u32,
  n: u32,
  cols: u32,
}

@group(0) @binding(0) var<storage, read> t: array<Elem>;
@group(0) @binding(1) var<storage, read> b: array<Elem>;
@group(0) @binding(2) var<storage, read_write> x: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> tile: array<Elem, LARGEST * LARGEST>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = params.n;
  let groups = (params.cols + WG - 1) / WG;
  let group = wid.y * nwg.x + wid.x;
  let z = group / groups;
  if (z >= params.batch) {
    return;
  }
  for (var e = lane; e < n * n; e += WG) {
    let i = e / n;
    let j = e % n;
    tile[i * LARGEST + j] = t[z * n * n + select(e, j * n + i, TRANSPOSE)];
  }
  workgroupBarrier();
  let col = (group % groups) * WG + lane;
  if (col >= params.cols) {
    return;
  }
  let start = z * n * params.cols + col;
  var solved: array<Elem, LARGEST>;
  for (var step = 0u; step < n; step++) {
    let i = select(n - 1 - step, step, FORWARD);
    var value = b[start + i * params.cols];
    for (var before = 0u; before < step; before++) {
      let j = select(n - 1 - before, before, FORWARD);
      value -= tile[i * LARGEST + j] * solved[j];
    }
    value /= tile[i * LARGEST + i];
    solved[i] = value;
    x[start + i * params.cols] = value;
  }
}
