// y[o, i] = the first r whose x[o, r, i] is extreme
//
//   x: [outer, axis, inner]   y: [outer, inner]   one thread per output, neighbouring threads on neighbouring i
//   SMALLEST looks for the least value. NaN wins in both cases, as it does in a maximum and a minimum.

alias Elem = f32;
const WG: u32 = 64;
const SMALLEST: u32 = 0;

struct Params {
  outer: u32,
  axis: u32,
  inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.outer * params.inner) {
    return;
  }
  let o = id / params.inner;
  let base = o * params.axis * params.inner + id - o * params.inner;
  var best = 0u;
  var at = 0u;
  for (var r = 0u; r < params.axis; r++) {
    let v = f32(x[base + r * params.inner]);
    let key = sort_key(select(v, -v, SMALLEST == 1u));
    if (key > best) {
      best = key;
      at = r;
    }
  }
  y[id] = at;
}
