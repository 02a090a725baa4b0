// One halving of the search for the precision of each row: see tsne_precisions_naive.wgsl
//
//   d: [rows, n]   states: [rows, 4]   one subgroup, which is one workgroup, per row

const SG: u32 = 8; // lanes of a subgroup
const STEP: u32 = 1;

struct Params {
  rows: u32,
  n: u32,
  first: u32,
  entropy: f32,
}

@group(0) @binding(0) var<storage, read> d: array<f32>;
@group(0) @binding(1) var<storage, read_write> states: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row = wid.y * nwg.x + wid.x;
  if (row >= params.rows) {
    return;
  }
  let state = states[row];
  let count = select(params.n, 0u, is_found(state)); // no return: a subgroup adds up together
  var sums = vec2f(0.0);
  var nearest = 3.0e38;
  for (var j = lane; j < count; j += SG) {
    let distance = d[row * params.n + j];
    let other = j != params.first + row;
    nearest = select(nearest, min(nearest, distance), other);
    sums = select(sums, sums + precision_terms(distance, state), other);
  }
  let next = next_state(state, subgroupAdd(sums), subgroupMin(nearest), params.n, params.entropy);
  if (lane == 0u) {
    states[row] = next;
  }
}
