// mean[r] = Σ x[o, r, i] / count   variance[r] = Σ (x[o, r, i] − mean[r])² / count   over all o and i
//
//   x: [outer, rows, inner]   mean, variance: [rows]   one workgroup per row
//   numerics: two passes; E[x²] − E[x]² cancels in f32 where the mean is large beside the deviation

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  outer: u32,
  rows: u32,
  inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> variance: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lid: u32,
) {
  let row = wid.y * nwg.x + wid.x;
  if (row >= params.rows) {
    return;
  }
  let count = f32(params.outer) * f32(params.inner);
  var sum = 0.0;
  for (var o = 0u; o < params.outer; o++) {
    let start = (o * params.rows + row) * params.inner;
    for (var i = lid; i < params.inner; i += WG) {
      sum += f32(x[start + i]);
    }
  }
  let m = workgroup_sum(sum, lid) / count;
  var squares = 0.0;
  for (var o = 0u; o < params.outer; o++) {
    let start = (o * params.rows + row) * params.inner;
    for (var i = lid; i < params.inner; i += WG) {
      let d = f32(x[start + i]) - m;
      squares += d * d;
    }
  }
  let v = workgroup_sum(squares, lid) / count;
  if (lid == 0u) {
    mean[row] = m;
    variance[row] = v;
  }
}
