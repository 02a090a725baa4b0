// y[o, p] = scale · reduce over part p of row o of x
//
//   x: [outer, axis]   y: [outer, parts]   one subgroup, which is one workgroup, per part: axis / parts values, rounded up
//   numerics: each lane reduces whole vec4s into four partial results, then a tree; the same order in every run

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup
const OP: u32 = 0;

struct Params {
  outer: u32,
  axis: u32,
  parts: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

fn subgroup_total(v: f32) -> f32 {
  switch OP {
    case OP_PRODUCT: { return subgroupMul(v); }
    case OP_MAX: { return subgroupMax(v); }
    case OP_MIN: { return subgroupMin(v); }
    default: { return subgroupAdd(v); }
  }
}

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let id = wid.y * nwg.x + wid.x;
  if (id >= params.outer * params.parts) {
    return;
  }
  let row = id / params.parts;
  let span = (params.axis + params.parts - 1u) / params.parts;
  let part = id - row * params.parts;
  let row_end = (row + 1u) * params.axis;
  let start = min(row * params.axis + part * span, row_end);
  let end = min(start + span, row_end);
  let first = min(start, row_end - 1u); // of an empty part: any value of the row
  var acc = vec4f(neutral(f32(x[first / 4u][first % 4u])));
  var magnitude = vec4u(0u);
  // The vec4s that the part shares with its neighbours: the first and the last one.
  for (var edge = lane; edge < 2u; edge += SG) {
    let j = select(end / 4u, start / 4u, edge == 0u);
    let at = vec4u(4u * j) + vec4u(0u, 1u, 2u, 3u);
    let inside = (at >= vec4u(start)) & (at < vec4u(end));
    if (any(inside) && !all(inside) && (edge == 0u || j > start / 4u)) {
      let v = vec4f(x[j]);
      acc = select(acc, join4(acc, term4(v)), inside);
      magnitude = select(magnitude, magnitudes(v), inside);
    }
  }
  for (var j = (start + 3u) / 4u + lane; j < end / 4u; j += SG) {
    let v = vec4f(x[j]);
    acc = join4(acc, term4(v));
    if (is_extreme()) {
      magnitude = max(magnitude, magnitudes(v));
    }
  }
  let total = subgroup_total(across(acc));
  let greatest = subgroupMax(greatest4(magnitude));
  if (lane == 0u) {
    y[id] = Elem(finished(total, greatest, params.scale));
  }
}
