// y[i, j] = Σ_s x[rows[s, i], columns[s, j]], where an index out of range adds nothing
//
//   x: [m, n]   rows: [count, p]   columns: [count, q]   y: [p, q]
//   one thread per 4 rows of a column of y, 64 columns per workgroup: an index of a column serves four sums. Sums in f32, in the
//   order of s

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
fn main(@builtin(global_invocation_id) gid: vec3u) {
  let j = gid.x;
  if (j >= params.q) {
    return;
  }
  // The last rows are computed again where p is no multiple of 4, to the same bits.
  let i = min(gid.y * 4u, params.p - 4u);
  var sum = vec4f(0.0);
  for (var s = 0u; s < params.count; s++) {
    let column = columns[s * params.q + j];
    if (column < params.n) {
      let at = s * params.p + i;
      for (var r = 0u; r < 4u; r++) {
        let row = rows[at + r];
        if (row < params.m) {
          sum[r] += f32(x[row * params.n + column]);
        }
      }
    }
  }
  for (var r = 0u; r < 4u; r++) {
    y[(i + r) * params.q + j] = Elem(sum[r]);
  }
}
