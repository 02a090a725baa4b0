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

// Four positions WG apart, and the values there, 0 beyond the row.
fn four(i: u32) -> vec4u {
  return vec4u(i) + vec4u(0u, WG, 2u * WG, 3u * WG);
}

fn load4(start: u32, i: u32) -> vec4f {
  let j = start + min(four(i), vec4u(params.inner - 1u));
  let v = vec4f(f32(x[j.x]), f32(x[j.y]), f32(x[j.z]), f32(x[j.w]));
  return select(vec4f(0.0), v, four(i) < vec4u(params.inner));
}

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
    for (var i = lid; i < params.inner; i += 4u * WG) {
      sum += dot(load4(start, i), vec4f(1.0));
    }
  }
  let m = workgroup_sum(sum, lid) / count;
  var squares = 0.0;
  for (var o = 0u; o < params.outer; o++) {
    let start = (o * params.rows + row) * params.inner;
    for (var i = lid; i < params.inner; i += 4u * WG) {
      let d = select(vec4f(0.0), load4(start, i) - m, four(i) < vec4u(params.inner));
      squares += dot(d, d);
    }
  }
  let v = workgroup_sum(squares, lid) / count;
  if (lid == 0u) {
    mean[row] = m;
    variance[row] = v;
  }
}
