// dWeight = Σ g · x̂ and dBias = Σ g over the rows of a slice, x̂ = (x − mean) · rstd
//
//   x, g: [rows, cols]   mean, rstd: [rows]   dWeight, dBias: [slices, cols], to be summed over slices afterwards
//   one thread per column and slice; a slice is `sliceRows` rows, summed in order

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  rows: u32,
  cols: u32,
  slices: u32,
  sliceRows: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> g: array<Elem>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read_write> dWeight: array<Elem>;
@group(0) @binding(5) var<storage, read_write> dBias: array<Elem>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let width = params.cols;
  if (i >= width * params.slices) {
    return;
  }
  let first = i / width * params.sliceRows;
  let end = min(first + params.sliceRows, params.rows);
  let col = i % width;
  var weighted = f32(0.0);
  var plain = f32(0.0);
  for (var row = first; row < end; row++) {
    let v = f32(g[row * width + col]);
    plain += v;
    weighted += v * ((f32(x[row * width + col]) - mean[row]) * rstd[row]);
  }
  dWeight[i] = Elem(weighted);
  dBias[i] = Elem(plain);
}
