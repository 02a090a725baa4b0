// y[z, panel, p, r] = x at row 64·panel + r and place p of matrix z; 0 beyond the last row and the last place
//
//   x: [batch, rows, k], or [batch, k, rows]   y: [batch, panels, kPadded, 64]
//   for x: [batch, k, rows] and rows divisible by 4; one thread per vec4 of y
//   numerics: values are copied

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  batch: u32,
  rows: u32,
  k: u32,
  panels: u32,
  kPadded: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let r4 = i % 16u;
  let p = (i / 16u) % params.kPadded;
  let panel = i / (16u * params.kPadded);
  let row4 = (panel % params.panels) * 16u + r4;
  let z = panel / params.panels;
  if (z >= params.batch) {
    return;
  }
  let rows4 = params.rows / 4u;
  let value = x[(z * params.k + min(p, params.k - 1u)) * rows4 + min(row4, rows4 - 1u)];
  y[i] = select(vec4<Elem>(), value, row4 < rows4 && p < params.k);
}
