// the k greatest of a·bᵀ − shift in every row, greatest first, of equal ones the first: values and columns. The product is not stored.
//
//   a: [rows, 4·D4]   b: [n, 4·D4], n divisible by 4   shift: [n]   values, indices: [rows, k], k ≤ 4·QUADS
//   one thread per row, which it holds in registers; eight lanes read a row of b each and hand it to all
//   numerics: f32 sums in order of the features, four at a time; NaN is never among the greatest

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup, at least 8
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

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row = (wid.y * nwg.x + wid.x) * SG + lane;
  let last = params.rows - 1u;
  var own: array<vec4f, D4>;
  for (var p = 0u; p < D4; p++) {
    own[p] = vec4f(a[min(row, last) * D4 + p]); // every lane goes on, since others need what it reads
  }
  var best = no_best();
  let n4 = params.n / 4u;
  for (var c = 0u; c < n4; c += 2u) {
    let at = min(c * 4u + (lane & 7u), params.n - 1u) * D4;
    let next = min(c + 1u, n4 - 1u);
    var low = -vec4f(shift[c]);
    var high = -vec4f(shift[next]);
    for (var p = 0u; p < D4; p++) {
      let x = own[p];
      let y = vec4f(b[at + p]);
      low += vec4f(dot(x, quad0(y)), dot(x, quad1(y)), dot(x, quad2(y)), dot(x, quad3(y)));
      high += vec4f(dot(x, quad4(y)), dot(x, quad5(y)), dot(x, quad6(y)), dot(x, quad7(y)));
    }
    insert4(&best, low, c);
    if (c < next) {
      insert4(&best, high, next);
    }
  }
  if (row > last) {
    return;
  }
  for (var j = 0u; j < params.k; j++) {
    let quad = quad_of(&best, j / 4u);
    values[row * params.k + j] = at4(quad.value, j % 4u);
    indices[row * params.k + j] = column4(quad.column, j % 4u);
  }
}
