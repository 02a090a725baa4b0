// dx[b, c, p, q] = Σ_{n of b} Σ_{i,j} tent(sx − q)·tent(sy − p)·g[n, c, i, j],   (sx, sy) = matrix[n]·(j, i, 1)
//
//   g: [batch·crops, channels, outHeight, outWidth]   matrix, inverse: [batch·crops, 6]   dx: [batch, channels, height, width]
//   one thread per pixel and four channels of dx, which share its weights, gathers: the outputs that read it lie in the box around the inverse image of the square of two pixels'
//   side about it, of at most reachX by reachY outputs. No atomics: the same bits in every run.

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
  reachX: u32,
  reachY: u32,
}

@group(0) @binding(0) var<storage, read> g: array<Elem>;
@group(0) @binding(1) var<storage, read> matrix: array<f32>;
@group(0) @binding(2) var<storage, read> inverse: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<Elem>;
@group(0) @binding(4) var<uniform> params: Params;

// rounding of the inverse must not cut a tap off: the weights decide, the box only has to be large enough
const SLACK: f32 = 0.01;

// first and past-the-last output on an axis of n outputs, within a reach of centre
fn box(centre: f32, extent: f32, n: u32, reach: u32) -> vec2u {
  let first = clamp(ceil(centre - extent - SLACK), 0.0, f32(n));
  let last = clamp(floor(centre + extent + SLACK) + 1.0, 0.0, f32(n));
  return vec2u(u32(first), min(u32(last), u32(first) + reach));
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = gid.y * (nwg.x * WG) + gid.x;
  let plane = params.height * params.width;
  let quads = (params.channels + 3u) / 4u;
  if (at >= params.batch * quads * plane) {
    return;
  }
  let q = at % params.width;
  let p = (at / params.width) % params.height;
  let c = 4u * ((at / plane) % quads);
  let b = at / (plane * quads);
  let count = min(4u, params.channels - c);
  let outPlane = params.outHeight * params.outWidth;
  var acc = vec4f(0.0);
  for (var crop = 0u; crop < params.crops; crop++) {
    let n = b * params.crops + crop;
    let m = 6u * n;
    let a = vec3f(matrix[m], matrix[m + 1u], matrix[m + 2u]);
    let d = vec3f(matrix[m + 3u], matrix[m + 4u], matrix[m + 5u]);
    let u = vec3f(inverse[m], inverse[m + 1u], inverse[m + 2u]);
    let v = vec3f(inverse[m + 3u], inverse[m + 4u], inverse[m + 5u]);
    let columns = box(affine_at(u.x, u.y, u.z, q, p), abs(u.x) + abs(u.y), params.outWidth, params.reachX);
    let rows = box(affine_at(v.x, v.y, v.z, q, p), abs(v.x) + abs(v.y), params.outHeight, params.reachY);
    let start = (n * params.channels + c) * outPlane;
    for (var i = rows.x; i < rows.y; i++) {
      for (var j = columns.x; j < columns.y; j++) {
        let wx = tent(affine_at(a.x, a.y, a.z, j, i) - f32(q));
        let wy = tent(affine_at(d.x, d.y, d.z, j, i) - f32(p));
        let w = wx * wy;
        if (w > 0.0) {
          for (var k = 0u; k < 4u; k++) {
            if (k < count) {
              acc[k] += w * f32(g[start + k * outPlane + i * params.outWidth + j]);
            }
          }
        }
      }
    }
  }
  for (var k = 0u; k < 4u; k++) {
    if (k < count) {
      dx[(b * params.channels + c + k) * plane + p * params.width + q] = Elem(acc[k]);
    }
  }
}
