// c[z] = residual + scale · activation(op(a[z]) · op(b[z]) + bias)
//
//   a: [batch, m, k] or its transpose   b: [batch, k, n] or its transpose   bias, scale: [n]   residual, c: [batch, m, n]
//   one thread per output; strideA and strideB are 0 where one matrix serves the whole batch

alias Elem = f32;
const WG: u32 = 64;
const TRANSPOSE_A: bool = false;
const TRANSPOSE_B: bool = false;
const ACTIVATION: u32 = 0; // code of activate4
const HAS_BIAS: bool = false;
const HAS_SCALE: bool = false;
const HAS_RESIDUAL: bool = false;

struct Params {
  batch: u32,
  m: u32,
  n: u32,
  k: u32,
  strideA: u32,
  strideB: u32,
}

@group(0) @binding(0) var<storage, read> a: array<Elem>;
@group(0) @binding(1) var<storage, read> b: array<Elem>;
@group(0) @binding(2) var<storage, read> bias: array<Elem>;
@group(0) @binding(3) var<storage, read> scale: array<Elem>;
@group(0) @binding(4) var<storage, read> residual: array<Elem>;
@group(0) @binding(5) var<storage, read_write> c: array<Elem>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (i >= params.batch * params.m * params.n) {
    return;
  }
  let col = i % params.n;
  let row = (i / params.n) % params.m;
  let z = i / (params.n * params.m);
  let step_a = select(1u, params.m, TRANSPOSE_A);
  let step_b = select(params.n, 1u, TRANSPOSE_B);
  let base_a = z * params.strideA + select(row * params.k, row, TRANSPOSE_A);
  let base_b = z * params.strideB + select(col, col * params.k, TRANSPOSE_B);
  var acc = 0.0;
  for (var p = 0u; p < params.k; p++) {
    acc += f32(a[base_a + p * step_a]) * f32(b[base_b + p * step_b]);
  }
  if (HAS_BIAS) { acc += f32(bias[col]); }
  acc = activate4(ACTIVATION, vec4f(acc)).x;
  if (HAS_SCALE) { acc *= f32(scale[col]); }
  if (HAS_RESIDUAL) { acc += f32(residual[i]); }
  c[i] = Elem(acc);
}
