// OP 0: y[o, i] = top + log(sum over r of exp(x[o, r, i] - top)), top the greatest value
// OP 1: y[o, i] = sum over r of (x[o, r, i] - mean)^2 / (axis - ddof)
//
//   x: [outer, axis, inner]   y: [outer, inner]   one thread per output, neighbouring threads on neighbouring i
//   numerics: two passes; four partial sums

alias Elem = f32;
const WG: u32 = 64;
const OP: u32 = 0;

struct Params {
  outer: u32,
  axis: u32,
  inner: u32,
  ddof: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

fn finish(top: f32, total: f32, count: f32) -> f32 {
  if (OP == 1u) { return total / (count - params.ddof); }
  return select(top + log(total), top, abs(top) > 3.4028234e38); // all is nothing beside an infinity
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.outer * params.inner) {
    return;
  }
  let o = id / params.inner;
  let base = o * params.axis * params.inner + id - o * params.inner;
  let count = f32(params.axis);
  var centre = vec4f(select(0.0, f32(x[base]), OP == 0u));
  for (var r = 0u; r < params.axis; r++) {
    let v = f32(x[base + r * params.inner]);
    let lane = r % 4u;
    centre[lane] = select(max(centre[lane], v), centre[lane] + v, OP == 1u);
  }
  let top = max(max(centre.x, centre.y), max(centre.z, centre.w));
  let mean = (centre.x + centre.y + centre.z + centre.w) / count;
  var acc = vec4f(0.0);
  for (var r = 0u; r < params.axis; r++) {
    let v = f32(x[base + r * params.inner]);
    let lane = r % 4u;
    if (OP == 0u) {
      acc[lane] += exp(max(v - top, -100.0));
    } else {
      acc[lane] += (v - mean) * (v - mean);
    }
  }
  let total = acc.x + acc.y + acc.z + acc.w;
  y[id] = Elem(finish(top, total, count));
}
