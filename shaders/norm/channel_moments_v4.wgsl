// mean[r] = Σ x[o, r, i] / count   variance[r] = Σ (x[o, r, i] − mean[r])² / count   over all o and i, of rows of whole vec4s
//
//   x: [outer, rows, inner], inner a multiple of 4   mean, variance: [rows]   one workgroup per row
//   numerics: two passes; E[x²] − E[x]² cancels in f32 where the mean is large beside the deviation

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  outer: u32,
  rows: u32,
  inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
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
  let quads = params.inner / 4u;
  let count = f32(params.outer) * f32(params.inner);
  var sum = vec4f(0.0);
  for (var o = 0u; o < params.outer; o++) {
    let start = (o * params.rows + row) * quads;
    for (var i = lid; i < quads; i += WG) {
      sum += vec4f(x[start + i]);
    }
  }
  let m = workgroup_sum(dot(sum, vec4f(1.0)), lid) / count;
  var squares = vec4f(0.0);
  for (var o = 0u; o < params.outer; o++) {
    let start = (o * params.rows + row) * quads;
    for (var i = lid; i < quads; i += WG) {
      let d = vec4f(x[start + i]) - m;
      squares += d * d;
    }
  }
  let v = workgroup_sum(dot(squares, vec4f(1.0)), lid) / count;
  if (lid == 0u) {
    mean[row] = m;
    variance[row] = v;
  }
}
