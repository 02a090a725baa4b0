// y[b, py·gridW + px, (c·side + ky)·side + kx] = x[b, c, py·side + ky, px·side + kx]
//
//   x: [batch, channels, gridH·side, gridW·side]   y: [batch, gridH·gridW, channels·side²]
//   one thread per value of y, so that writes are contiguous; INVERSE reads y and writes x, one thread per value of x

alias Elem = f32;
const WG: u32 = 64;
const INVERSE: bool = false;

struct Params {
  batch: u32,
  channels: u32,
  gridH: u32,
  gridW: u32,
  side: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

// where a value of the image [channels, height, width] stands among the patches
fn patch_index(i: u32) -> u32 {
  let width = params.gridW * params.side;
  let height = params.gridH * params.side;
  let col = i % width;
  let row = (i / width) % height;
  let plane = i / (width * height);
  let c = plane % params.channels;
  let b = plane / params.channels;
  let token = (b * params.gridH + row / params.side) * params.gridW + col / params.side;
  let inner = (c * params.side + row % params.side) * params.side + col % params.side;
  return token * params.channels * params.side * params.side + inner;
}

// where a value of the patches stands in the image
fn image_index(i: u32) -> u32 {
  let kx = i % params.side;
  let ky = (i / params.side) % params.side;
  let plane = i / (params.side * params.side);
  let c = plane % params.channels;
  let token = plane / params.channels;
  let px = token % params.gridW;
  let py = (token / params.gridW) % params.gridH;
  let b = token / (params.gridW * params.gridH);
  let row = py * params.side + ky;
  let height = params.gridH * params.side;
  let width = params.gridW * params.side;
  return ((b * params.channels + c) * height + row) * width + px * params.side + kx;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let tokens = params.batch * params.gridH * params.gridW;
  if (i >= tokens * params.channels * params.side * params.side) {
    return;
  }
  if (INVERSE) {
    y[i] = x[patch_index(i)];
  } else {
    y[i] = x[image_index(i)];
  }
}
