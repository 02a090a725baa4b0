// dx = y · (g − Σ g·y) by rows, y the softmax
//
//   y, g, dx: [rows, cols]   one subgroup per workgroup, four rows: together they are whole vec4s for any cols, so all loads and stores
//   are vec4s, and a vec4 that two rows share stays within the subgroup

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup

struct Params {
  rows: u32,
  cols: u32,
}

@group(0) @binding(0) var<storage, read> y: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> g: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<Elem>>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let group = wid.y * nwg.x + wid.x;
  if (4u * group >= params.rows) {
    return;
  }
  let cols = params.cols;
  let rows = min(4u, params.rows - 4u * group);
  let start = group * cols;
  var dots = vec4f(0.0);
  for (var r = 0u; r < rows; r++) {
    let low = vec4u(r * cols);
    let high = low + cols;
    var sum = vec4f(0.0);
    for (var j = low.x / 4u + lane; j < (high.x + 3u) / 4u; j += SG) {
      let at = vec4u(4u * j) + vec4u(0u, 1u, 2u, 3u);
      let product = vec4f(y[start + j]) * vec4f(g[start + j]);
      sum += select(vec4f(0.0), product, (at >= low) & (at < high));
    }
    let dot = subgroupAdd(sum.x + sum.y + sum.z + sum.w);
    dots = select(dots, vec4f(dot), vec4u(r) == vec4u(0u, 1u, 2u, 3u));
  }
  for (var j = lane; j < (rows * cols + 3u) / 4u; j += SG) {
    let at = vec4u(4u * j) + vec4u(0u, 1u, 2u, 3u);
    var level = select(vec4f(dots.x), vec4f(dots.y), at >= vec4u(cols));
    level = select(level, vec4f(dots.z), at >= vec4u(2u * cols));
    level = select(level, vec4f(dots.w), at >= vec4u(3u * cols));
    dx[start + j] = vec4<Elem>(vec4f(y[start + j]) * (vec4f(g[start + j]) - level));
  }
}
