// y[o, t, i] = offsets[o, part, i] + sum of x[o, s, i] over the places s of t's part up to t (before t where exclusive)
//
//   x, y: [outer, n, inner]   offsets: [outer, parts, inner]   one thread per part, n / parts places, rounded up
//   reverse: the axis runs backwards, and so do the sums

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  outer: u32,
  n: u32,
  inner: u32,
  parts: u32,
  exclusive: u32,
  reverse: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> offsets: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.outer * params.parts * params.inner) {
    return;
  }
  let slot = id / params.inner;
  let i = id - slot * params.inner;
  let o = slot / params.parts;
  let part = slot - o * params.parts;
  let span = (params.n + params.parts - 1u) / params.parts;
  let first = min(part * span, params.n);
  let count = min(span, params.n - first);
  let backwards = params.reverse == 1u;
  let begin = select(first, first + count - 1u, backwards);
  var at = (o * params.n + begin) * params.inner + i;
  var total = f32(offsets[id]);
  for (var s = 0u; s < count; s++) {
    let v = f32(x[at]);
    y[at] = Elem(select(total + v, total, params.exclusive == 1u));
    total += v;
    at = select(at + params.inner, at - params.inner, backwards);
  }
}
