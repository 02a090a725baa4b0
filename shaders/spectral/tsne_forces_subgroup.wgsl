// forces[r] = the sums of tsne_forces_naive.wgsl
//
//   p: [rows, n]   y: [n, DIM]   forces: [rows, 8]   one subgroup, which is one workgroup, per row: rows of p are read side by side

const SG: u32 = 8; // lanes of a subgroup
const DIM: u32 = 2;
const DIVERGENCE: bool = true;
const EXACT: bool = false;

struct Params {
  rows: u32,
  n: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read> p: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> forces: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

fn point(i: u32) -> vec3f {
  let at = i * DIM;
  return vec3f(y[at], y[at + 1u], select(0.0, y[at + DIM - 1u], DIM == 3u));
}

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
  let own = point(params.first + row);
  var attraction = vec4f(0.0);
  var repulsion = vec4f(0.0);
  for (var j = lane; j < params.n; j += SG) {
    let pair = tsne_pair(p[row * params.n + j], own - point(j));
    let other = j != params.first + row;
    attraction += select(vec4f(0.0), pair.attraction, other);
    repulsion += select(vec4f(0.0), pair.repulsion, other);
  }
  let pull = subgroupAdd(attraction);
  let push = subgroupAdd(repulsion);
  if (lane == 0u) {
    forces[2u * row] = pull;
    forces[2u * row + 1u] = push;
  }
}
