// y[i, j] = max(rows[i] + columns[j] − 2·products[i, j], 0): squared distances by products
//
//   products, y: [batch, n, m], m divisible by 4   rows: [batch, n]   columns: [batch, m]   one thread per four columns
//   numerics: one rounding of the sum of squares, one of the difference

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  batch: u32,
  n: u32,
  m: u32,
}

@group(0) @binding(0) var<storage, read> products: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> rows: array<Elem>;
@group(0) @binding(2) var<storage, read> columns: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let m4 = params.m / 4u;
  let row = i / m4;
  if (row >= params.batch * params.n) {
    return;
  }
  let column = (row / params.n) * m4 + i - row * m4;
  let both = vec4f(f32(rows[row])) + vec4f(columns[column]);
  y[i] = vec4<Elem>(max(both - 2.0 * vec4f(products[i]), vec4f(0.0)));
}
