// y[z, panel, p, r] = x at row 64·panel + r and place p of matrix z; 0 beyond the last row and the last place
//
//   x: [batch, rows, k], or [batch, k, rows]   y: [batch, panels, kPadded, 64]
//   one thread per value of y
//   numerics: values are copied

alias Elem = f32;
const WG: u32 = 64;
const BY_ROWS: bool = true; // x is [batch, rows, k]

struct Params {
  batch: u32,
  rows: u32,
  k: u32,
  panels: u32,
  kPadded: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let r = i % 64u;
  let p = (i / 64u) % params.kPadded;
  let panel = i / (64u * params.kPadded);
  let row = (panel % params.panels) * 64u + r;
  let z = panel / params.panels;
  if (z >= params.batch) {
    return;
  }
  let at = z * params.rows * params.k + select(p * params.rows + row, row * params.k + p, BY_ROWS);
  y[i] = Elem(0.0);
  if (row < params.rows && p < params.k) { y[i] = x[at]; }
}
