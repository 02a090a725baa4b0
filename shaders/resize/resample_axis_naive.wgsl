// y[o, i, j] = Σ_t weight[t] · x[o, first[i] + t − offset[i], j], t from offset[i] to offset[i + 1]
//
//   x: [outer, inSize, inner]   first: [outSize]   offset: [outSize + 1]   weight: [taps]   y: [outer, outSize, inner]
//   one thread per output

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  outer: u32,
  inSize: u32,
  outSize: u32,
  inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> first: array<u32>;
@group(0) @binding(2) var<storage, read> offset: array<u32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = gid.y * (nwg.x * WG) + gid.x;
  if (at >= params.outer * params.outSize * params.inner) {
    return;
  }
  let j = at % params.inner;
  let i = (at / params.inner) % params.outSize;
  let o = at / (params.inner * params.outSize);
  let start = offset[i];
  let end = offset[i + 1u];
  var at_x = (o * params.inSize + first[i]) * params.inner + j;
  var acc = 0.0;
  for (var t = start; t < end; t++) {
    acc += weight[t] * f32(x[at_x]);
    at_x += params.inner;
  }
  y[at] = Elem(acc);
}
