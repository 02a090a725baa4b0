// y[r] = Σⱼ weights[r, j] · x[indices[r, j]]: sums of rows by index
//
//   x: [m, n]   indices, weights: [rows, k]   y: [rows, n]   one thread per value of y
//   numerics: f32 sums in order of j; an index out of range adds nothing

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  m: u32,
  n: u32,
  rows: u32,
  k: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let row = i / params.n;
  if (row >= params.rows) {
    return;
  }
  var sum = 0.0;
  for (var j = 0u; j < params.k; j++) {
    let at = indices[row * params.k + j];
    let value = f32(x[min(at, params.m - 1u) * params.n + i % params.n]);
    sum += select(0.0, f32(weights[row * params.k + j]) * value, at < params.m);
  }
  y[i] = Elem(sum);
}
