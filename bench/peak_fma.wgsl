// y[i] = x after many dependent steps x ← x·a + b on two independent vec4 chains: the arithmetic peak
//
//   y: [n]   one thread per value; 2 chains × 4 lanes × 16·steps multiply-adds each, nothing is loaded
//   eight chains cover the latency of an addition after a product and, with a and b, still fit the 16 registers of a CPU's lanes
//   |a| < 1, so that the values stay finite

const WG: u32 = 64;

struct Params {
  n: u32,
  steps: u32,
  a: f32,
  b: f32,
}

@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

// Written out: a CPU driver pays for every turn of a loop and for every value carried through it.
fn four(c: mat2x4f, a: vec4f, b: vec4f) -> mat2x4f {
  let c1 = mat2x4f(fma(c[0], a, b), fma(c[1], a, b));
  let c2 = mat2x4f(fma(c1[0], a, b), fma(c1[1], a, b));
  let c3 = mat2x4f(fma(c2[0], a, b), fma(c2[1], a, b));
  return mat2x4f(fma(c3[0], a, b), fma(c3[1], a, b));
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (i >= params.n) {
    return;
  }
  let a = vec4f(params.a);
  let b = vec4f(params.b);
  let x = vec4f(0.0, 0.25, 0.5, 0.75) + f32(i % 4u);
  var c0 = x;
  var c1 = x + 1.0;
  for (var s = 0u; s < params.steps; s++) {
    let d = four(four(four(four(mat2x4f(c0, c1), a, b), a, b), a, b), a, b);
    c0 = d[0];
    c1 = d[1];
  }
  let sum = c0 + c1;
  y[i] = sum.x + sum.y + sum.z + sum.w;
}
