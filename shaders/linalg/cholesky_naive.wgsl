// l·lᵀ = a, l lower triangular with a positive diagonal; inverse = l⁻¹
//
//   a, l, inverse: [batch, n, n]; only the lower triangle of a is read, the upper ones of l and its inverse are zero
//   one thread per matrix
//   A pivot that is not positive becomes `invalid` (NaN), and with it all that depends on it.

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  batch: u32,
  n: u32,
  invalid: f32,
}

@group(0) @binding(0) var<storage, read> a: array<Elem>;
@group(0) @binding(1) var<storage, read_write> l: array<Elem>;
@group(0) @binding(2) var<storage, read_write> inverse: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let z = gid.y * (nwg.x * WG) + gid.x;
  if (z >= params.batch) {
    return;
  }
  let n = params.n;
  let start = z * n * n;
  for (var k = 0u; k < n; k++) {
    for (var i = 0u; i < n; i++) {
      var value = Elem(0.0);
      if (i >= k) {
        value = a[start + i * n + k];
        for (var j = 0u; j < k; j++) {
          value -= l[start + i * n + j] * l[start + k * n + j];
        }
      }
      if (i == k) {
        value = select(Elem(params.invalid), sqrt(max(value, Elem(0.0))), value > Elem(0.0));
      } else if (i > k) {
        value /= l[start + k * n + k];
      }
      l[start + i * n + k] = value;
    }
  }
  for (var k = 0u; k < n; k++) {
    for (var i = 0u; i < n; i++) {
      var value = select(Elem(0.0), Elem(1.0), i == k);
      for (var j = k; j < i; j++) {
        value -= l[start + i * n + j] * inverse[start + j * n + k];
      }
      inverse[start + i * n + k] = select(Elem(0.0), value / l[start + i * n + i], i >= k);
    }
  }
}
