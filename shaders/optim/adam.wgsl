// One Adam, NAdam or AdamW step, in place:
//   AdamW:  p ← p·(1 − lr·wd)         Adam:  g ← g + wd·p
//   m ← β₁m + (1 − β₁)g   v ← β₂v + (1 − β₂)g²   p ← p − lr·(m/c₁ + fresh·g) / (√(v/c₂) + ε),  c₂ = 1 − β₂ᵗ
//   Adam and AdamW: c₁ = 1 − β₁ᵗ, fresh = 0; NAdam looks one step ahead with both
//
//   p, g, m, v: [n]   four values per thread; the last vec4 may reach into the buffers' slack
//   Moments are f32 whatever the storage type of p and g.

alias Elem = f32;
const WG: u32 = 64;
const DECOUPLED: bool = true;

struct Params {
  n: u32,
  lr: f32,
  beta1: f32,
  beta2: f32,
  eps: f32,
  weightDecay: f32,
  correction1: f32,
  correction2: f32,
  fresh: f32,
}

@group(0) @binding(0) var<storage, read> g: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> p: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (4u * i >= params.n) {
    return;
  }
  var value = vec4f(p[i]);
  var slope = vec4f(g[i]);
  if (DECOUPLED) {
    value *= 1.0 - params.lr * params.weightDecay;
  } else {
    slope += params.weightDecay * value;
  }
  let first = params.beta1 * m[i] + (1.0 - params.beta1) * slope;
  let second = params.beta2 * v[i] + (1.0 - params.beta2) * slope * slope;
  m[i] = first;
  v[i] = second;
  let step = (first / params.correction1 + params.fresh * slope) / (sqrt(second / params.correction2) + params.eps);
  p[i] = vec4<Elem>(value - params.lr * step);
}
