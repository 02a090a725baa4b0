// dx = rstd · (gw − mean(gw) − x̂ · mean(gw·x̂)) by rows, gw = g · weight, x̂ = (x − mean) · rstd; without CENTER mean(gw) is left out
//
//   x, g, dx: [rows, cols]   weight: [cols]   mean, rstd: [rows]   cols divisible by 4   one row per subgroup, one subgroup per workgroup

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup
const CENTER: bool = true;
const HAS_WEIGHT: bool = true;

struct Params {
  rows: u32,
  cols: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> g: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> rstd: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<vec4<Elem>>;
@group(0) @binding(6) var<uniform> params: Params;

fn weighted(at: u32, j: u32) -> vec4f {
  var v = vec4f(g[at]);
  if (HAS_WEIGHT) { v *= vec4f(weight[j]); }
  return v;
}

fn total(v: vec4f) -> f32 {
  return subgroupAdd(v.x + v.y + v.z + v.w);
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
  let c4 = params.cols / 4u;
  let start = row * c4;
  let centre = mean[row];
  let spread = rstd[row];
  var sum = vec4f(0.0);
  var along = vec4f(0.0);
  for (var j = lane; j < c4; j += SG) {
    let v = weighted(start + j, j);
    sum += v;
    along += v * ((vec4f(x[start + j]) - centre) * spread);
  }
  let n = f32(params.cols);
  let slope = total(along) / n;
  let level = select(0.0, total(sum) / n, CENTER);
  for (var j = lane; j < c4; j += SG) {
    let normal = (vec4f(x[start + j]) - centre) * spread;
    dx[start + j] = vec4<Elem>(spread * (weighted(start + j, j) - level - normal * slope));
  }
}
