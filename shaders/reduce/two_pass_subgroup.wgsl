// OP 0: y[o] = top + log(sum over r of exp(x[o, r] - top)), top the greatest value
// OP 1: y[o] = sum over r of (x[o, r] - mean)^2 / (axis - ddof)
//
//   x: [outer, axis]   y: [outer]   one subgroup, which is one workgroup, per row
//   numerics: two passes; the lanes' sums are added by a tree

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup
const OP: u32 = 0;

struct Params {
  outer: u32,
  axis: u32,
  ddof: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

fn finish(top: f32, total: f32, count: f32) -> f32 {
  if (OP == 1u) { return total / (count - params.ddof); }
  return select(top + log(total), top, abs(top) > 3.4028234e38); // all is nothing beside an infinity
}

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row = wid.y * nwg.x + wid.x;
  if (row >= params.outer) {
    return;
  }
  let base = row * params.axis;
  let count = f32(params.axis);
  var centre = select(0.0, f32(x[base]), OP == 0u);
  for (var r = lane; r < params.axis; r += SG) {
    let v = f32(x[base + r]);
    centre = select(max(centre, v), centre + v, OP == 1u);
  }
  let top = subgroupMax(centre);
  let mean = subgroupAdd(centre) / count;
  var acc = 0.0;
  for (var r = lane; r < params.axis; r += SG) {
    let v = f32(x[base + r]);
    if (OP == 0u) {
      acc += exp(max(v - top, -100.0));
    } else {
      acc += (v - mean) * (v - mean);
    }
  }
  let total = subgroupAdd(acc);
  if (lane == 0u) {
    y[row] = Elem(finish(top, total, count));
  }
}
