// l·lᵀ = a, l lower triangular with a positive diagonal
//
//   a, l: [batch, n, n], n ≤ WG; only the lower triangle of a is read, the upper one of l is zero
//   one workgroup per matrix, one thread per row, the factor grows column by column in workgroup memory
//   A pivot that is not positive becomes `invalid` (NaN), and with it all that depends on it.

const WG: u32 = 32; // also the largest n
const_assert 4u * WG * (WG + 1u) <= 16384u;

struct Params {
  batch: u32,
  n: u32,
  invalid: f32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> l: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> tile: array<f32, WG * (WG + 1)>; // rows padded by one: columns fall on different banks

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) row: u32,
) {
  let z = wid.y * nwg.x + wid.x;
  if (z >= params.batch) {
    return;
  }
  let n = params.n;
  let start = z * n * n;
  for (var i = 0u; i < n; i++) {
    if (row < n) {
      tile[i * (WG + 1) + row] = select(0.0, a[start + i * n + row], row <= i);
    }
  }
  workgroupBarrier();
  for (var k = 0u; k < n; k++) {
    var rest = 0.0;
    if (row >= k && row < n) {
      var product = 0.0;
      for (var j = 0u; j < k; j++) {
        product += tile[row * (WG + 1) + j] * tile[k * (WG + 1) + j];
      }
      rest = tile[row * (WG + 1) + k] - product;
    }
    if (row == k) {
      tile[k * (WG + 1) + k] = select(params.invalid, sqrt(max(rest, 0.0)), rest > 0.0);
    }
    workgroupBarrier();
    if (row > k && row < n) {
      tile[row * (WG + 1) + k] = rest / tile[k * (WG + 1) + k];
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < n; i++) {
    if (row < n) {
      l[start + i * n + row] = tile[i * (WG + 1) + row];
    }
  }
}
