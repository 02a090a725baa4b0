// c[z] = residual + scale · activation(a[z] · b[z] + bias), both operands as panels of 64 rows or columns (see pack_panels.wgsl)
//
//   a: [batch | 1, ⌈m/64⌉, k, 64]   b: [batch | 1, ⌈n/64⌉, k, 64]   k even, n divisible by 4   bias, scale: [n]   residual, c: [batch, m, n]
//   one thread per four columns of c
//   numerics: f32 sums in order of k

alias Elem = f32;
const WG: u32 = 64;
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
  terms: u32, // says where zeros are: all are added up here
}

@group(0) @binding(0) var<storage, read> a: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read> scale: array<vec4<Elem>>;
@group(0) @binding(4) var<storage, read> residual: array<vec4<Elem>>;
@group(0) @binding(5) var<storage, read_write> c: array<vec4<Elem>>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let n4 = params.n / 4u;
  let col = i % n4;
  let row = (i / n4) % params.m;
  let z = i / (n4 * params.m);
  if (z >= params.batch) {
    return;
  }
  let at_a = z * (params.strideA / 4u) + (row / 64u) * params.k * 16u + (row % 64u) / 4u;
  let at_b = z * (params.strideB / 4u) + (col / 16u) * params.k * 16u + col % 16u;
  var sum = vec4f(0.0);
  for (var p = 0u; p < params.k; p++) {
    sum += f32(a[at_a + p * 16u][row % 4u]) * vec4f(b[at_b + p * 16u]);
  }
  finish(sum, z, row, col);
}
