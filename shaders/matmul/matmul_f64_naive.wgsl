// c[z] = a[z]·b[z] in double precision, both operands packed (see pack_f64.wgsl)
//
//   a: [batch | 1, ⌈m/32⌉, k/4, 32, 4]   b: [batch | 1, ⌈n/32⌉, k, 32]   c: [batch, m, n]   one thread per value of c
//   numerics: f64 sums in order of k

const WG: u32 = 64;

struct Params {
  batch: u32,
  m: u32,
  n: u32,
  k: u32,
  strideA: u32,
  strideB: u32,
  terms: u32, // says where zeros are: all are added up here
}

@group(0) @binding(0) var<storage, read> a: array<f64>;
@group(0) @binding(1) var<storage, read> b: array<f64>;
@group(0) @binding(2) var<storage, read_write> c: array<f64>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let col = i % params.n;
  let row = i / params.n % params.m;
  let z = i / (params.n * params.m);
  if (z >= params.batch) {
    return;
  }
  let from_a = z * params.strideA + row / 32u * params.k * 32u + row % 32u * 4u;
  let from_b = z * params.strideB + col / 32u * params.k * 32u + col % 32u;
  var sum = f64(0.0);
  for (var p = 0u; p < params.k; p++) {
    sum += a[from_a + p / 4u * 128u + p % 4u] * b[from_b + p * 32u];
  }
  c[i] = sum;
}
