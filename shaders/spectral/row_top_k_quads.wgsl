// the k greatest of x − shift in every row, greatest first, of equal ones the first: values and columns
//
//   x: [rows, n], n divisible by 4   shift: [n]   values, indices: [rows, k], k ≤ 4·QUADS
//   one thread per row: the best so far stay in registers in order, and a quad of columns is looked at closely only where one of them is
//   greater than the least of those
//   numerics: exact; NaN is never among the greatest

alias Elem = f32;
const WG: u32 = 64;
const QUADS: u32 = 8; // registers of four

struct Params {
  rows: u32,
  n: u32,
  k: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> shift: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let row = gid.y * (nwg.x * WG) + gid.x;
  if (row >= params.rows) {
    return;
  }
  var best = no_best();
  let n4 = params.n / 4u;
  for (var c = 0u; c < n4; c++) {
    insert4(&best, vec4f(x[row * n4 + c]) - vec4f(shift[c]), c);
  }
  for (var j = 0u; j < params.k; j++) {
    let quad = quad_of(&best, j / 4u);
    values[row * params.k + j] = at4(quad.value, j % 4u);
    indices[row * params.k + j] = column4(quad.column, j % 4u);
  }
}
