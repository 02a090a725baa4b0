// y[o] = the first r whose x[o, r] is extreme
//
//   x: [outer, axis]   y: [outer]   one subgroup, which is one workgroup, per row
//   SMALLEST looks for the least value. NaN wins in both cases, as it does in a maximum and a minimum.

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup
const SMALLEST: u32 = 0;

struct Params {
  outer: u32,
  axis: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

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
  var best = 0u;
  var at = 0u;
  for (var r = lane; r < params.axis; r += SG) {
    let v = f32(x[row * params.axis + r]);
    let key = sort_key(select(v, -v, SMALLEST == 1u));
    at = select(at, r, key > best);
    best = max(best, key);
  }
  let winner = subgroupMax(best);
  let first = subgroupMin(select(params.axis, at, best == winner));
  if (lane == 0u) {
    y[row] = first;
  }
}
