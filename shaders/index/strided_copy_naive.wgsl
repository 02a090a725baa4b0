// y[start + Σ i_k d_k] = x[sourceStart + Σ i_k s_k]
//
//   x: [xSize]   y: [ySize]   box [n0 … n5]; strides of x may be 0 or negative
//   TX threads along the last axis, TY along axis 4, workgroups in z over the outer axes; each loops where the grid is too small

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

// Offsets in x and y of index z over the outer axes, of which OUTER are longer than 1. Negative strides wrap around 2^32.
fn outer_offsets(z: u32) -> vec2u {
  var rest = z;
  var offsets = vec2u(params.sourceStart, params.start);
  if (OUTER > 1u) {
    let i = rest % params.n3;
    rest = rest / params.n3;
    offsets += i * vec2u(params.s3, params.d3);
  } else if (OUTER == 1u) {
    return offsets + rest * vec2u(params.s3, params.d3);
  }
  if (OUTER > 2u) {
    let i = rest % params.n2;
    rest = rest / params.n2;
    offsets += i * vec2u(params.s2, params.d2);
  } else if (OUTER == 2u) {
    return offsets + rest * vec2u(params.s2, params.d2);
  }
  if (OUTER > 3u) {
    let i = rest % params.n1;
    rest = rest / params.n1;
    offsets += i * vec2u(params.s1, params.d1);
    return offsets + rest * vec2u(params.s0, params.d0);
  }
  return offsets + rest * vec2u(params.s1, params.d1);
}

@compute @workgroup_size(TX, TY)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let outer = params.n0 * params.n1 * params.n2 * params.n3;
  for (var z = gid.z; z < outer; z += nwg.z) {
    let base = outer_offsets(z);
    for (var j = gid.y; j < params.n4; j += nwg.y * TY) {
      let row = base + j * vec2u(params.s4, params.d4);
      for (var i = gid.x; i < params.n5; i += nwg.x * TX) {
        y[row.y + i * params.d5] = x[row.x + i * params.s5];
      }
    }
  }
}
