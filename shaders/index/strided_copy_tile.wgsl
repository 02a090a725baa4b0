// y[start + Σ i_k d_k] = x[sourceStart + Σ i_k s_k], axis 4 contiguous in x and axis 5 in y
//
//   x: [xSize]   y: [ySize]   box [n0 … n5]
//   A workgroup of 8 by 8 threads moves a 32x32 tile, each thread 4x4 values that lie 8 apart: every access of eight
//   neighbours covers 32 contiguous bytes of x or of y, without workgroup memory and barriers.

alias Elem = f32;
const OUTER: u32 = 4; // outer axes longer than 1

struct Params {
  n0: u32,
  n1: u32,
  n2: u32,
  n3: u32,
  n4: u32,
  n5: u32,
  s0: u32,
  s1: u32,
  s2: u32,
  s3: u32,
  s4: u32,
  s5: u32,
  d0: u32,
  d1: u32,
  d2: u32,
  d3: u32,
  d4: u32,
  d5: u32,
  sourceStart: u32,
  start: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let base = outer_offsets(wid.z);
  let q0 = 32u * wid.y + lid.y;
  let p0 = 32u * wid.x + lid.x;
  for (var k = 0u; k < 4u; k++) {
    let q = q0 + 8u * k;
    let from_x = base.x + q * params.s5 + p0;
    let to_y = base.y + p0 * params.d4 + q;
    if (q < params.n5 && p0 < params.n4) {
      y[to_y] = x[from_x];
    }
    if (q < params.n5 && p0 + 8u < params.n4) {
      y[to_y + 8u * params.d4] = x[from_x + 8u];
    }
    if (q < params.n5 && p0 + 16u < params.n4) {
      y[to_y + 16u * params.d4] = x[from_x + 16u];
    }
    if (q < params.n5 && p0 + 24u < params.n4) {
      y[to_y + 24u * params.d4] = x[from_x + 24u];
    }
  }
}
