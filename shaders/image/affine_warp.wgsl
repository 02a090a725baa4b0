// y[n, c, i, j] = Σ_{p,q} tent(sx − q)·tent(sy − p)·x[n / crops, c, p, q],   (sx, sy) = matrix[n]·(j, i, 1);   fill outside x
//
//   x: [batch, channels, height, width]   matrix: [batch·crops, 6], rows of 2 × 3   y: [batch·crops, channels, outHeight, outWidth]
//   one thread per output; coordinates in f32 are good to 1e-7 of the image's side

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  batch: u32,
  crops: u32,
  channels: u32,
  height: u32,
  width: u32,
  outHeight: u32,
  outWidth: u32,
  fill: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> matrix: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = gid.y * (nwg.x * WG) + gid.x;
  let plane = params.outHeight * params.outWidth;
  if (at >= params.batch * params.crops * params.channels * plane) {
    return;
  }
  let j = at % params.outWidth;
  let i = (at / params.outWidth) % params.outHeight;
  let c = (at / plane) % params.channels;
  let n = at / (plane * params.channels);
  let m = 6u * n;
  // Further out than two pixels every tap is outside: the clamp keeps the integers small.
  let sx = clamp(affine_at(matrix[m], matrix[m + 1u], matrix[m + 2u], j, i), -2.0, f32(params.width) + 1.0);
  let sy = clamp(affine_at(matrix[m + 3u], matrix[m + 4u], matrix[m + 5u], j, i), -2.0, f32(params.height) + 1.0);
  let q0 = i32(floor(sx));
  let p0 = i32(floor(sy));
  let start = (n / params.crops * params.channels + c) * params.height * params.width;
  var acc = 0.0;
  for (var tap = 0u; tap < 4u; tap++) {
    let p = p0 + i32(tap / 2u);
    let q = q0 + i32(tap % 2u);
    var value = params.fill;
    if (p >= 0 && q >= 0 && p < i32(params.height) && q < i32(params.width)) {
      value = f32(x[start + u32(p) * params.width + u32(q)]);
    }
    acc += tent(sx - f32(q)) * tent(sy - f32(p)) * value;
  }
  y[at] = Elem(acc);
}
