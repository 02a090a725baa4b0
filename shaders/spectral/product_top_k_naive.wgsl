// the k greatest of a·bᵀ − shift in every row, greatest first, of equal ones the first: values and columns
//
//   a: [rows, d]   b: [n, d]   shift: [n]   values, indices: [rows, k]
//   one thread per row makes its products once for each of the k: the greatest that comes after the last one found
//   numerics: f32 sums in order of the features; NaN is never among the greatest

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  rows: u32,
  n: u32,
  d: u32,
  k: u32,
}

@group(0) @binding(0) var<storage, read> a: array<Elem>;
@group(0) @binding(1) var<storage, read> b: array<Elem>;
@group(0) @binding(2) var<storage, read> shift: array<Elem>;
@group(0) @binding(3) var<storage, read_write> values: array<f32>;
@group(0) @binding(4) var<storage, read_write> indices: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let row = gid.y * (nwg.x * WG) + gid.x;
  if (row >= params.rows) {
    return;
  }
  var last = 3.4e38;
  var last_column = 0u;
  for (var j = 0u; j < params.k; j++) {
    var best = -3.4e38;
    var column = 0u;
    for (var c = 0u; c < params.n; c++) {
      var value = -f32(shift[c]);
      for (var p = 0u; p < params.d; p++) {
        value += f32(a[row * params.d + p]) * f32(b[c * params.d + p]);
      }
      let is_later = value < last || (value == last && c > last_column);
      if (is_later && value > best) {
        best = value;
        column = c;
      }
    }
    values[row * params.k + j] = best;
    indices[row * params.k + j] = column;
    last = best;
    last_column = column;
  }
}
