// y[start + Σ i_k d_k] = x[sourceStart + Σ i_k s_k], axis 4 contiguous in x and axis 5 in y, all other offsets whole vec4s
//
//   x: [xSize]   y: [ySize]   box [n0 … n5]
//   One thread transposes a 4x4 block in registers: four vec4 loads, four vec4 stores, no workgroup memory and no barrier.
//   TX threads along axis 4, 64 / TX along axis 5: eight by eight touch 128 contiguous bytes of either side.

alias Elem = f32;
const TX: u32 = 8;
const TY: u32 = 64u / TX;
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

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(TX, TY)
fn main(@builtin(global_invocation_id) gid: vec3u) {
  if (gid.x >= params.n4 / 4u || gid.y >= params.n5 / 4u) {
    return;
  }
  let sx = params.s5 / 4u;
  let sy = params.d4 / 4u;
  let base = outer_offsets(gid.z) / 4u;
  let from_x = base.x + 4u * gid.y * sx + gid.x;
  let to_y = base.y + 4u * gid.x * sy + gid.y;
  let a = x[from_x];
  let b = x[from_x + sx];
  let c = x[from_x + 2u * sx];
  let d = x[from_x + 3u * sx];
  y[to_y] = vec4<Elem>(a.x, b.x, c.x, d.x);
  y[to_y + sy] = vec4<Elem>(a.y, b.y, c.y, d.y);
  y[to_y + 2u * sy] = vec4<Elem>(a.z, b.z, c.z, d.z);
  y[to_y + 3u * sy] = vec4<Elem>(a.w, b.w, c.w, d.w);
}
