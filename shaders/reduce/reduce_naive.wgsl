// y[o, i] = reduce over r of x[o, r, i]
//
//   x: [outer, axis, inner]   y: [outer, inner]   one thread per output, neighbouring threads on neighbouring i
//   OP: 0 sum, 1 mean, 2 max, 3 min.  Four partial sums bound the rounding error to axis/4 additions.

alias Elem = f32;
const WG: u32 = 64;
const OP: u32 = 0;

struct Params {
  outer: u32,
  axis: u32,
  inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

fn join(p: f32, q: f32) -> f32 {
  switch OP {
    case 2u: { return max(p, q); }
    case 3u: { return min(p, q); }
    default: { return p + q; }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.outer * params.inner) {
    return;
  }
  let base = (id / params.inner) * params.axis * params.inner + id % params.inner;
  var start = 0.0;
  if (OP == 2u) { start = -3.4028234e38; }
  if (OP == 3u) { start = 3.4028234e38; }
  var acc = vec4f(start);
  for (var r = 0u; r < params.axis; r++) {
    let v = f32(x[base + r * params.inner]);
    let lane = r % 4u;
    acc[lane] = join(acc[lane], v);
  }
  let total = join(join(acc.x, acc.y), join(acc.z, acc.w));
  y[id] = Elem(select(total, total / f32(params.axis), OP == 1u));
}
