// y[o, j, i] = x[o, indices[o / share, j], i], 0 where an index is out of range
//
//   x: [outer, n, inner]   indices: [rows, k]   y: [outer, k, inner]
//   TX threads along inner, TY along k, workgroups in z over outer; each loops where the grid is too small

alias Elem = f32;
const TX: u32 = 16;
const TY: u32 = 4;

struct Params {
  outer: u32,
  n: u32,
  inner: u32,
  k: u32,
  share: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(TX, TY)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  for (var o = gid.z; o < params.outer; o += nwg.z) {
    let row = o / params.share;
    for (var j = gid.y; j < params.k; j += nwg.y * TY) {
      let picked = indices[row * params.k + j];
      for (var i = gid.x; i < params.inner; i += nwg.x * TX) {
        var value = Elem(0);
        if (picked < params.n) {
          value = x[(o * params.n + picked) * params.inner + i];
        }
        y[(o * params.k + j) * params.inner + i] = value;
      }
    }
  }
}
