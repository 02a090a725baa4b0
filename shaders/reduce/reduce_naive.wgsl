// y[o, p, i] = scale · reduce over part p of the axis of x[o, ·, i]
//
//   x: [outer, axis, inner]   y: [outer, parts, inner]   one thread per output, neighbouring threads on neighbouring i
//   Four partial results bound the rounding error of a sum to a quarter of the additions.

alias Elem = f32;
const WG: u32 = 64;
const OP: u32 = 0;

struct Params {
  outer: u32,
  axis: u32,
  inner: u32,
  parts: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.outer * params.parts * params.inner) {
    return;
  }
  let slot = id / params.inner;
  let o = slot / params.parts;
  let part = slot - o * params.parts;
  let base = o * params.axis * params.inner + id - slot * params.inner;
  let span = (params.axis + params.parts - 1u) / params.parts;
  let end = min((part + 1u) * span, params.axis);
  var acc = vec4f(neutral(f32(x[base + min(part * span, params.axis - 1u) * params.inner])));
  var magnitude = 0u;
  for (var r = part * span; r < end; r++) {
    let v = vec4f(f32(x[base + r * params.inner]));
    let lane = r % 4u;
    acc[lane] = join1(acc[lane], term4(v).x);
    magnitude = max(magnitude, magnitudes(v).x);
  }
  y[id] = Elem(finished(across(acc), magnitude, params.scale));
}
