// y[o, p, i] = scale · reduce over part p of the axis of x[o, ·, i], inner a multiple of 4
//
//   x: [outer, axis, inner]   y: [outer, parts, inner]   one thread per part and four neighbouring i: all accesses are whole vec4s
//   numerics: one running result per i over axis / parts values, rounded up

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

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  let width = params.inner / 4u;
  if (id >= params.outer * params.parts * width) {
    return;
  }
  let slot = id / width;
  let o = slot / params.parts;
  let part = slot - o * params.parts;
  let span = (params.axis + params.parts - 1u) / params.parts;
  let start = min(part * span, params.axis - 1u);
  let end = min((part + 1u) * span, params.axis);
  var at = (o * params.axis + start) * width + id - slot * width;
  let first = vec4f(x[at]);
  var acc = select(vec4f(neutral(0.0)), first, is_extreme());
  var magnitude = vec4u(0u);
  for (var r = part * span; r < end; r++) {
    let v = vec4f(x[at]);
    acc = join4(acc, term4(v));
    if (is_extreme()) {
      magnitude = max(magnitude, magnitudes(v));
    }
    at += width;
  }
  y[id] = vec4<Elem>(
    Elem(finished(acc.x, magnitude.x, params.scale)),
    Elem(finished(acc.y, magnitude.y, params.scale)),
    Elem(finished(acc.z, magnitude.z, params.scale)),
    Elem(finished(acc.w, magnitude.w, params.scale)),
  );
}
