// dx[p, iy, ix] = Σ g[p, oy, ox] over the windows whose index is (iy, ix)
//
//   g, index: [planes, oh, ow]   dx: [planes, h, w]   one thread per input gathers from the windows that may reach it: no atomics, and
//   the same order of addition every time

alias Elem = f32;
const WG: u32 = 64;
const ADAPTIVE: bool = false;
const STRIDE_Y: i32 = 1; // constants: divisions by them are shifts
const STRIDE_X: i32 = 1;

struct Params {
  planes: u32,
  h: u32,
  w: u32,
  oh: u32,
  ow: u32,
  kernelY: u32,
  kernelX: u32,
  padTop: i32,
  padLeft: i32,
  dilationY: i32,
  dilationX: i32,
}

@group(0) @binding(0) var<storage, read> g: array<Elem>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

// First and last window that may hold position i of an axis; the index tells which of them chose it.
fn windows(i: u32, count: u32, size: u32, reach: i32, stride: i32, pad: i32) -> vec2u {
  if (ADAPTIVE) {
    return vec2u(i * count / size, min(((i + 1u) * count + size - 1u) / size, count) - 1u);
  }
  let last = min((i32(i) + pad) / stride, i32(count) - 1);
  let first = max((i32(i) + pad - reach + stride - 1) / stride, 0);
  return vec2u(u32(first), u32(last));
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (i >= params.planes * params.h * params.w) {
    return;
  }
  let size = params.w * params.h;
  let which = i / size;
  let here = i - which * size; // in place of %, which would divide again
  let row = here / params.w;
  let plane = which * params.oh * params.ow;
  let reach_y = (i32(params.kernelY) - 1) * params.dilationY;
  let reach_x = (i32(params.kernelX) - 1) * params.dilationX;
  let rows = windows(row, params.oh, params.h, reach_y, STRIDE_Y, params.padTop);
  let columns = windows(here - row * params.w, params.ow, params.w, reach_x, STRIDE_X, params.padLeft);
  var acc = 0.0;
  for (var oy = rows.x; oy <= rows.y; oy++) {
    for (var ox = columns.x; ox <= columns.y; ox++) {
      let o = plane + oy * params.ow + ox;
      if (index[o] == here) {
        acc += f32(g[o]);
      }
    }
  }
  dx[i] = Elem(acc);
}
