// y[n, o, oy, ox] = activation(bias[o] + Σ_tap weight[o, tap] · x[n, o, oy + shift_y, ox + shift_x])
//
//   x: [n, groups, h, w]   weight: [groups, kh, kw]   bias: [groups]   one channel per group, stride 1
//   TRANSPOSED: the taps run the other way (the gradient of a convolution by its input)
//   y is channels yFirst and on of [n, yChannels, oh, ow], whose other channels stay as they are
//   a thread makes four neighbours of a row: a weight is loaded once for all of them
//   numerics: f32 sums over taps, row by row; a pixel outside reads the nearest one of the row and counts as 0

alias Elem = f32;
const WG: u32 = 64;
const TRANSPOSED: bool = false;
const ACTIVATION: u32 = 0; // code of activate4

struct Params {
  n: u32,
  groups: u32,
  h: u32,
  w: u32,
  oh: u32,
  ow: u32,
  kh: u32,
  kw: u32,
  padTop: i32,
  padLeft: i32,
  dilationY: i32,
  dilationX: i32,
  hasBias: u32,
  yChannels: u32,
  yFirst: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> weight: array<Elem>;
@group(0) @binding(2) var<storage, read> bias: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let across = (params.ow + 3u) / 4u;
  let each = across * params.oh;
  if (i >= params.n * params.groups * each) {
    return;
  }
  let plane = quotient(i, each);
  let place = i - plane * each;
  let row = quotient(place, across);
  let column = (place - row * across) * 4u;
  let image = quotient(plane, params.groups);
  let o = plane - image * params.groups;
  let ox = vec4i(vec4u(column) + vec4u(0u, 1u, 2u, 3u));
  let last = i32(params.w) - 1;
  let from_x = plane * params.h * params.w;
  let from_w = o * params.kh * params.kw;
  var acc = vec4f(0.0);
  for (var dy = 0u; dy < params.kh; dy++) {
    let shift_y = i32(dy) * params.dilationY - params.padTop;
    let iy = i32(row) + select(shift_y, -shift_y, TRANSPOSED);
    if (iy >= 0 && iy < i32(params.h)) {
      let start = from_x + u32(iy) * params.w;
      for (var dx = 0u; dx < params.kw; dx++) {
        let shift_x = i32(dx) * params.dilationX - params.padLeft;
        let ix = ox + select(shift_x, -shift_x, TRANSPOSED);
        let at = vec4u(clamp(ix, vec4i(0), vec4i(last))) + start;
        let v = vec4f(f32(x[at.x]), f32(x[at.y]), f32(x[at.z]), f32(x[at.w]));
        let inside = (ix >= vec4i(0)) & (ix <= vec4i(last));
        acc += f32(weight[from_w + dy * params.kw + dx]) * select(vec4f(0.0), v, inside);
      }
    }
  }
  if (params.hasBias != 0u) {
    acc += f32(bias[o]);
  }
  let v = activate4(ACTIVATION, acc);
  let to = ((image * params.yChannels + params.yFirst + o) * params.oh + row) * params.ow + column;
  y[to] = Elem(v.x);
  if (column + 1u < params.ow) { y[to + 1u] = Elem(v.y); }
  if (column + 2u < params.ow) { y[to + 2u] = Elem(v.z); }
  if (column + 3u < params.ow) { y[to + 3u] = Elem(v.w); }
}
