// dx = rstd · (gw − mean(gw) − x̂ · mean(gw·x̂)) by rows, gw = g · weight, x̂ = (x − mean) · rstd; without CENTER mean(gw) is left out
//
//   x, g, dx: [rows, cols]   weight: [cols]   mean, rstd: [rows]   one thread per row

alias Elem = f32;
const WG: u32 = 64;
const CENTER: bool = true;
const HAS_WEIGHT: bool = true;

struct Params {
  rows: u32,
  cols: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> g: array<Elem>;
@group(0) @binding(2) var<storage, read> weight: array<Elem>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> rstd: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<Elem>;
@group(0) @binding(6) var<uniform> params: Params;

fn weighted(at: u32, j: u32) -> f32 {
  var v = f32(g[at]);
  if (HAS_WEIGHT) { v *= f32(weight[j]); }
  return v;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let row = gid.y * (nwg.x * WG) + gid.x;
  if (row >= params.rows) {
    return;
  }
  let start = row * params.cols;
  let centre = mean[row];
  let spread = rstd[row];
  var sum = 0.0;
  var along = 0.0;
  for (var j = 0u; j < params.cols; j++) {
    let v = weighted(start + j, j);
    sum += v;
    along += v * ((f32(x[start + j]) - centre) * spread);
  }
  let n = f32(params.cols);
  let slope = along / n;
  let level = select(0.0, sum / n, CENTER);
  for (var j = 0u; j < params.cols; j++) {
    let normal = (f32(x[start + j]) - centre) * spread;
    dx[start + j] = Elem(spread * (weighted(start + j, j) - level - normal * slope));
  }
}
