// y = exp(x − max) / Σ exp(x − max) by rows
//
//   x, y: [rows, cols]   one subgroup per workgroup, four rows: together they are whole vec4s for any cols, so all loads and stores are
//   vec4s, and a vec4 that two rows share stays within the subgroup
//   numerics: running maximum and sum in one pass; arguments of exp are clamped from below, where it is 0

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup
const LOWEST: f32 = -3.4028234e38;

struct Params {
  rows: u32,
  cols: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(2) var<uniform> params: Params;

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
  var greatest = vec4f(0.0);
  var scale = vec4f(0.0);
  for (var r = 0u; r < rows; r++) {
    let low = vec4u(r * cols);
    let high = low + cols;
    var m = LOWEST;
    var s = 0.0;
    for (var j = low.x / 4u + lane; j < (high.x + 3u) / 4u; j += SG) {
      let at = vec4u(4u * j) + vec4u(0u, 1u, 2u, 3u);
      let inside = (at >= low) & (at < high);
      let v = select(vec4f(LOWEST), vec4f(x[start + j]), inside);
      let top = max(max(m, max(v.x, v.y)), max(v.z, v.w));
      let e = select(vec4f(0.0), exp(max(v - top, vec4f(-100.0))), inside);
      s = s * exp(max(m - top, -100.0)) + (e.x + e.y + e.z + e.w);
      m = top;
    }
    let top = subgroupMax(m);
    let sum = subgroupAdd(s * exp(max(m - top, -100.0)));
    let here = vec4u(r) == vec4u(0u, 1u, 2u, 3u);
    greatest = select(greatest, vec4f(top), here);
    scale = select(scale, vec4f(1.0 / sum), here);
  }
  for (var j = lane; j < (rows * cols + 3u) / 4u; j += SG) {
    let at = vec4u(4u * j) + vec4u(0u, 1u, 2u, 3u);
    var top = select(vec4f(greatest.x), vec4f(greatest.y), at >= vec4u(cols));
    var by = select(vec4f(scale.x), vec4f(scale.y), at >= vec4u(cols));
    top = select(top, vec4f(greatest.z), at >= vec4u(2u * cols));
    by = select(by, vec4f(scale.z), at >= vec4u(2u * cols));
    top = select(top, vec4f(greatest.w), at >= vec4u(3u * cols));
    by = select(by, vec4f(scale.w), at >= vec4u(3u * cols));
    y[start + j] = vec4<Elem>(exp(max(vec4f(x[start + j]) - top, vec4f(-100.0))) * by);
  }
}
