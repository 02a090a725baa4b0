// l·lᵀ = a, l lower triangular with a positive diagonal; inverse = l⁻¹
//
//   a, l, inverse: [batch, n, n], n ≤ WG; only the lower triangle of a is read, the upper ones of l and its inverse are zero
//   one workgroup per matrix. The factor grows column by column in workgroup memory, one thread per row; then the inverse takes the
//   triangle above it, one thread per column, by substitution.
//   A pivot that is not positive becomes `invalid` (NaN), and with it all that depends on it.

alias Elem = f32;
const WG: u32 = 64; // also the largest n
const_assert 4u * WG * WG <= 16384u;

struct Params {
  batch: u32,
  n: u32,
  invalid: f32,
}

@group(0) @binding(0) var<storage, read> a: array<Elem>;
@group(0) @binding(1) var<storage, read_write> l: array<Elem>;
@group(0) @binding(2) var<storage, read_write> inverse: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> tile: array<Elem, WG * WG>; // column by column: l[i, k] at k·WG + i, and inverse[i, k] for k < i at i·WG + k

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let z = wid.y * nwg.x + wid.x;
  if (z >= params.batch) {
    return;
  }
  let n = params.n;
  let start = z * n * n;
  for (var i = 0u; i < n; i++) {
    if (lane <= i) {
      tile[lane * WG + i] = a[start + i * n + lane];
    }
  }
  workgroupBarrier();
  for (var k = 0u; k < n; k++) {
    var rest = Elem(0.0);
    if (lane >= k && lane < n) {
      var product = Elem(0.0);
      for (var j = 0u; j < k; j++) {
        product += tile[j * WG + lane] * tile[j * WG + k];
      }
      rest = tile[k * WG + lane] - product;
    }
    if (lane == k) {
      tile[k * WG + k] = select(Elem(params.invalid), sqrt(max(rest, Elem(0.0))), rest > Elem(0.0));
    }
    workgroupBarrier();
    if (lane > k && lane < n) {
      tile[k * WG + lane] = rest / tile[k * WG + k];
    }
    workgroupBarrier();
  }
  if (lane >= n) {
    return;
  }
  let first = Elem(1.0) / tile[lane * WG + lane];
  for (var i = lane + 1u; i < n; i++) {
    var value = tile[lane * WG + i] * first;
    for (var j = lane + 1u; j < i; j++) {
      value += tile[j * WG + i] * tile[j * WG + lane];
    }
    tile[i * WG + lane] = -value / tile[i * WG + i];
  }
  for (var i = 0u; i < n; i++) {
    l[start + i * n + lane] = select(Elem(0.0), tile[lane * WG + i], lane <= i);
    inverse[start + i * n + lane] = select(Elem(0.0), select(first, tile[i * WG + lane], lane < i), lane <= i);
  }
}
