// y[start + Σ i_k d_k] = x[sourceStart + Σ i_k s_k], strides of x may be 0 or negative
//
//   x: [xSize]   y: [ySize]   box [n0 … n5]
//   TX threads along the last axis; TY along axis 4, four rows each, which pays for the index arithmetic;
//   workgroups in z over the outer axes. No loop over a grid that is too small: its bookkeeping costs more than the copy on
//   software drivers, so a longer axis is left to the naive variant.

alias Elem = f32;
const TX: u32 = 16;
const TY: u32 = 4;
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

@compute @workgroup_size(TX, TY)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let col = wid.x * TX + lid.x;
  let row = wid.y * (4u * TY) + lid.y;
  if (col >= params.n5 || row >= params.n4) {
    return;
  }
  let rows_left = params.n4 - row;
  let at = outer_offsets(wid.z) + row * vec2u(params.s4, params.d4) + col * vec2u(params.s5, params.d5);
  let sx = TY * params.s4;
  let sy = TY * params.d4;
  y[at.y] = x[at.x];
  if (rows_left > TY) {
    y[at.y + sy] = x[at.x + sx];
  }
  if (rows_left > 2u * TY) {
    y[at.y + 2u * sy] = x[at.x + 2u * sx];
  }
  if (rows_left > 3u * TY) {
    y[at.y + 3u * sy] = x[at.x + 3u * sx];
  }
}
