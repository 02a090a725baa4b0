// One step of gradient descent with momentum and a gain per coordinate, in place:
//   g = factor (exaggeration * attraction - repulsion / totals[3])
//   gain <- max(gain + 0.2 where velocity g < 0, else 0.8 gain, minGain)   slope = gain g
//   velocity <- momentum velocity - rate slope   y <- y + velocity
//
//   forces: [n, 8]   totals: [8], their sums   y, velocity, gains, slope: [n, dim]   one thread per coordinate

const WG: u32 = 64;

struct Params {
  n: u32,
  dim: u32,
  factor: f32,
  exaggeration: f32,
  momentum: f32,
  rate: f32,
  minGain: f32,
}

@group(0) @binding(0) var<storage, read> forces: array<f32>;
@group(0) @binding(1) var<storage, read> totals: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(4) var<storage, read_write> gains: array<f32>;
@group(0) @binding(5) var<storage, read_write> slope: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.n * params.dim) {
    return;
  }
  let row = id / params.dim;
  let at = 8u * row + id - row * params.dim;
  let pull = params.exaggeration * forces[at];
  let g = params.factor * (pull - forces[at + 4u] / totals[3]);
  let last = velocity[id];
  let gain = max(select(0.8 * gains[id], gains[id] + 0.2, last * g < 0.0), params.minGain);
  let step = params.momentum * last - params.rate * gain * g;
  gains[id] = gain;
  slope[id] = gain * g;
  velocity[id] = step;
  y[id] += step;
}
