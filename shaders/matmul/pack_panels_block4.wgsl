// y[z, panel, p, r] = x at row 64·panel + r and place p of matrix z; 0 beyond the last row and the last place
//
//   x: [batch, rows, k], or [batch, k, rows]   y: [batch, panels, kPadded, 64]
//   for x: [batch, rows, k] and k divisible by 4; one thread per block of 4 rows × 4 places, turned in registers
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
  let k4 = params.k / 4u;
  let p4 = (i / 16u) % k4;
  let panel = i / (16u * k4);
  let row = (panel % params.panels) * 64u + r4 * 4u;
  let z = panel / params.panels;
  if (z >= params.batch) {
    return;
  }
  let last = params.rows - 1u;
  let start = z * params.rows * k4 + p4;
  let zero = vec4<Elem>();
  let a = select(zero, x[start + min(row, last) * k4], row <= last);
  let b = select(zero, x[start + min(row + 1u, last) * k4], row + 1u <= last);
  let c = select(zero, x[start + min(row + 2u, last) * k4], row + 2u <= last);
  let d = select(zero, x[start + min(row + 3u, last) * k4], row + 3u <= last);
  let to = (panel * k4 + p4) * 64u + r4;
  y[to] = vec4<Elem>(a.x, b.x, c.x, d.x);
  y[to + 16u] = vec4<Elem>(a.y, b.y, c.y, d.y);
  y[to + 32u] = vec4<Elem>(a.z, b.z, c.z, d.z);
  y[to + 48u] = vec4<Elem>(a.w, b.w, c.w, d.w);
}
