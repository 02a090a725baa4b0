// d[r, j] <- max((w(i, j) / sum(i) + w(j, i) / sum(j)) / 2n, 2^-52), 0 for j = i = first + r,
// with w(i, j) = exp(-(d[r, j] - nearest(i)) beta(i))
//
//   states: [n, (beta, sum, -, nearest)]   d: [rows, n]   one thread per pair; the floor is scikit-learn's

const WG: u32 = 64;
const FLOOR: f32 = 2.220446049250313e-16;

struct Params {
  rows: u32,
  n: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read> states: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> d: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

fn conditional(distance: f32, state: vec4f) -> f32 {
  return exp(max((state.w - distance) * state.x, -100.0)) / state.y;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.rows * params.n) {
    return;
  }
  let r = id / params.n;
  let j = id - r * params.n;
  let i = params.first + r;
  let sum = conditional(d[id], states[i]) + conditional(d[id], states[j]);
  d[id] = select(max(0.5 * sum / f32(params.n), FLOOR), 0.0, i == j);
}
