// y[p, oy, ox] = max of x[p] over a window, index = where it is (row · w + column)
//
//   x: [images·channels, h, w]   index: [images·channels, oh, ow]   one thread per output
//   y: channels yFirst and on of [images, yChannels, oh, ow], whose other channels stay as they are
//   window: oy·stride − pad + t·dilation for t < kernel, or ADAPTIVE: ⌊oy·h/oh⌋ to ⌈(oy + 1)·h/oh⌉
//   numerics: padding is −∞; the first of equal values wins, row by row, and a NaN wins over all, as in PyTorch

alias Elem = f32;
const WG: u32 = 64;
const ADAPTIVE: bool = false;

struct Params {
  planes: u32,
  h: u32,
  w: u32,
  oh: u32,
  ow: u32,
  kernelY: u32,
  kernelX: u32,
  strideY: i32,
  strideX: i32,
  padTop: i32,
  padLeft: i32,
  dilationY: i32,
  dilationX: i32,
  channels: u32,
  yChannels: u32,
  yFirst: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<storage, read_write> index: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

// First position, step and end of the window of output o on an axis.
fn window(o: u32, count: u32, size: u32, kernel: u32, stride: i32, pad: i32, dilation: i32) -> vec3i {
  if (ADAPTIVE) {
    return vec3i(i32(o * size / count), 1, i32(((o + 1u) * size + count - 1u) / count));
  }
  var start = i32(o) * stride - pad;
  let end = min(start + (i32(kernel) - 1) * dilation + 1, i32(size));
  if (start < 0) {
    start += (-start + dilation - 1) / dilation * dilation; // the first tap inside
  }
  return vec3i(start, dilation, end);
}

fn is_nan(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (i >= params.planes * params.oh * params.ow) {
    return;
  }
  let oy = (i / params.ow) % params.oh;
  let plane = i / (params.ow * params.oh);
  let start = plane * params.h * params.w;
  let rows = window(oy, params.oh, params.h, params.kernelY, params.strideY, params.padTop, params.dilationY);
  let columns =
    window(i % params.ow, params.ow, params.w, params.kernelX, params.strideX, params.padLeft, params.dilationX);
  var best = -3.4028234e38;
  var at = u32(rows.x) * params.w + u32(columns.x);
  var found = false;
  for (var iy = rows.x; iy < rows.z; iy += rows.y) {
    for (var ix = columns.x; ix < columns.z; ix += columns.y) {
      let here = u32(iy) * params.w + u32(ix);
      let v = f32(x[start + here]);
      if (!found || v > best || is_nan(v)) {
        best = v;
        at = here;
        found = true;
      }
    }
  }
  let skipped = plane / params.channels * (params.yChannels - params.channels) + params.yFirst;
  y[i + skipped * params.ow * params.oh] = Elem(best);
  index[i] = at;
}
