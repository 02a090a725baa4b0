// the k greatest of a·bᵀ − shift in every row, greatest first, of equal ones the first: values and columns. The product is not stored.
//
//   a: [rows, 4·D4]   b: [n, 4·D4], n divisible by 4   shift: [n]   values, indices: [rows, k], k ≤ 4·QUADS
//   one thread per row, which it holds in registers: all threads read the same rows of b at the same time
//   numerics: f32 sums in order of the features, four at a time; NaN is never among the greatest

alias Elem = f32;
const WG: u32 = 64;
const QUADS: u32 = 8; // registers of four for the best
const D4: u32 = 5; // and for the row

struct Params {
  rows: u32,
  n: u32,
  d: u32,
  k: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> shift: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read_write> values: array<f32>;
@group(0) @binding(4) var<storage, read_write> indices: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let row = gid.y * (nwg.x * WG) + gid.x;
  if (row >= params.rows) {
    return;
  }
  var own: array<vec4f, D4>;
  for (var p = 0u; p < D4; p++) {
    own[p] = vec4f(a[row * D4 + p]);
  }
  var best = no_best();
  for (var c = 0u; c < params.n / 4u; c++) {
    let at = c * 4u * D4;
    var four = -vec4f(shift[c]);
    for (var p = 0u; p < D4; p++) {
      four += vec4f(
        dot(own[p], vec4f(b[at + p])),
        dot(own[p], vec4f(b[at + D4 + p])),
        dot(own[p], vec4f(b[at + 2u * D4 + p])),
        dot(own[p], vec4f(b[at + 3u * D4 + p])),
      );
    }
    insert4(&best, four, c);
  }
  for (var j = 0u; j < params.k; j++) {
    let quad = quad_of(&best, j / 4u);
    values[row * params.k + j] = at4(quad.value, j % 4u);
    indices[row * params.k + j] = column4(quad.column, j % 4u);
  }
}
