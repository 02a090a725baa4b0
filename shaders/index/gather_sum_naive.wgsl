// y[i, j] = Σ_s x[rows[s, i], columns[s, j]], where an index out of range adds nothing
//
//   x: [m, n]   rows: [count, p]   columns: [count, q]   y: [p, q]
//   one thread per value of y, neighbours along j: shifts read neighbours of x. Sums in f32, in the order of s

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  m: u32,
  n: u32,
  count: u32,
  p: u32,
  q: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> columns: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.p * params.q) {
    return;
  }
  let i = id / params.q;
  let j = id % params.q;
  var sum = 0.0;
  for (var s = 0u; s < params.count; s++) {
    let row = rows[s * params.p + i];
    let column = columns[s * params.q + j];
    if (row < params.m && column < params.n) {
      sum += f32(x[row * params.n + column]);
    }
  }
  y[id] = Elem(sum);
}
