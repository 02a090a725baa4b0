// y[z, panel, p / STEPS, r, p % STEPS] = x at row WIDTH·panel + r and place p of matrix z, in double precision; 0 beyond the edges
//
//   x: [batch, rows, k], or [batch, k, rows]   y: [batch, panels, kPadded / STEPS, WIDTH, STEPS]
//   one thread per four values of y; numerics: values are widened exactly

alias Elem = f32;
const WG: u32 = 64;
const BY_ROWS: bool = true; // x is [batch, rows, k]
const WIDTH: u32 = 32; // rows of a panel
const STEPS: u32 = 4; // places that lie together
const_assert WIDTH % 4u == 0u && (STEPS == 4u || STEPS == 1u);

struct Params {
  batch: u32,
  rows: u32,
  k: u32,
  panels: u32,
  kPadded: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f64>>;
@group(0) @binding(2) var<uniform> params: Params;

fn value(z: u32, row: u32, p: u32) -> f64 {
  let at = z * params.rows * params.k + select(p * params.rows + row, row * params.k + p, BY_ROWS);
  var v = f64(0.0);
  if (row < params.rows && p < params.k) { v = f64(x[at]); }
  return v;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = 4u * (gid.y * (nwg.x * WG) + gid.x);
  let r = i / STEPS % WIDTH;
  let p = (i / (STEPS * WIDTH)) % (params.kPadded / STEPS) * STEPS;
  let panel = i / (WIDTH * params.kPadded);
  let row = (panel % params.panels) * WIDTH + r;
  let z = panel / params.panels;
  if (z >= params.batch) {
    return;
  }
  let d = select(vec2u(1u, 0u), vec2u(0u, 1u), STEPS == 4u); // to the next of the four: in rows and in places
  y[i / 4u] = vec4<f64>(
    value(z, row, p),
    value(z, row + d.x, p + d.y),
    value(z, row + 2u * d.x, p + 2u * d.y),
    value(z, row + 3u * d.x, p + 3u * d.y),
  );
}
