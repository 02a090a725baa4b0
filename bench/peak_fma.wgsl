// y[i] = x after many dependent steps x ← x·a + b on eight independent vec4 chains: the arithmetic peak
//
//   y: [n]   one thread per value; 8 chains × 4 lanes × steps multiply-adds each, nothing is loaded
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
  var c2 = x + 2.0;
  var c3 = x + 3.0;
  var c4 = x + 4.0;
  var c5 = x + 5.0;
  var c6 = x + 6.0;
  var c7 = x + 7.0;
  for (var s = 0u; s < params.steps; s++) {
    for (var r = 0u; r < 4u; r++) {
      c0 = fma(c0, a, b);
      c1 = fma(c1, a, b);
      c2 = fma(c2, a, b);
      c3 = fma(c3, a, b);
      c4 = fma(c4, a, b);
      c5 = fma(c5, a, b);
      c6 = fma(c6, a, b);
      c7 = fma(c7, a, b);
    }
  }
  let sum = c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7;
  y[i] = sum.x + sum.y + sum.z + sum.w;
}
