// y[z, panel, p / STEPS, r, p % STEPS] = x at row WIDTH·panel + r and place p of matrix z, in double precision; 0 beyond the edges
//
//   x: [batch, rows, k], or [batch, k, rows]   y: [batch, panels, kPadded / STEPS, WIDTH, STEPS]
//   one thread per value of y; numerics: values are widened exactly

alias Elem = f32;
const WG: u32 = 64;
const BY_ROWS: bool = true; // x is [batch, rows, k]
const WIDTH: u32 = 32; // rows of a panel
const STEPS: u32 = 4; // places that lie together

struct Params {
  batch: u32,
  rows: u32,
  k: u32,
  panels: u32,
  kPadded: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<f64>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let r = i / STEPS % WIDTH;
  let p = (i / (STEPS * WIDTH)) % (params.kPadded / STEPS) * STEPS + i % STEPS;
  let panel = i / (WIDTH * params.kPadded);
  let row = (panel % params.panels) * WIDTH + r;
  let z = panel / params.panels;
  if (z >= params.batch) {
    return;
  }
  let at = z * params.rows * params.k + select(p * params.rows + row, row * params.k + p, BY_ROWS);
  var value = f64(0.0);
  if (row < params.rows && p < params.k) { value = f64(x[at]); }
  y[i] = value;
}
