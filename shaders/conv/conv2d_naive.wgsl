// y[n, o, ·] = activation(bias[o] + Σ_{c, tap} weight[o, c, tap] · x[n, c, tap_source(·, tap)])
//
//   x: [n, groups·cinG, h, w]   weight: [groups·coutG, cinG, kh, kw]   bias: [groups·coutG]   y: [n, groups·coutG, oh, ow]
//   y is channels yFirst and on of [n, yChannels, oh, ow], whose other channels stay as they are
//   TRANSPOSED: weight: [groups·cinG, coutG, kh, kw], and the taps run the other way (the gradient of a convolution by its input)
//   one thread per output; the sum runs over taps, then channels

alias Elem = f32;
const WG: u32 = 64;
const TRANSPOSED: bool = false;
const ACTIVATION: u32 = 0; // code of activate4

struct Params {
  n: u32,
  groups: u32,
  cinG: u32,
  coutG: u32,
  h: u32,
  w: u32,
  oh: u32,
  ow: u32,
  kh: u32,
  kw: u32,
  strideY: i32,
  strideX: i32,
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
  let cout = params.groups * params.coutG;
  if (i >= params.n * cout * params.oh * params.ow) {
    return;
  }
  let ox = i32(i % params.ow);
  let oy = i32((i / params.ow) % params.oh);
  let o = (i / (params.ow * params.oh)) % cout;
  let image = i / (params.ow * params.oh * cout);
  let group = o / params.coutG;
  let taps = params.kh * params.kw;
  let plane = params.h * params.w;
  let from_x = (image * params.groups + group) * params.cinG * plane;
  // The weights of a group are one block either way.
  let row_step = select(params.cinG * taps, taps, TRANSPOSED);
  let channel_step = select(taps, params.coutG * taps, TRANSPOSED);
  let from_w = group * params.coutG * params.cinG * taps + (o % params.coutG) * row_step;
  var acc = 0.0;
  for (var dy = 0u; dy < params.kh; dy++) {
    let iy = tap_source(oy, i32(dy) * params.dilationY - params.padTop, params.strideY, i32(params.h));
    for (var dx = 0u; dx < params.kw; dx++) {
      let ix = tap_source(ox, i32(dx) * params.dilationX - params.padLeft, params.strideX, i32(params.w));
      if (iy >= 0 && ix >= 0) {
        let at_x = from_x + u32(iy) * params.w + u32(ix);
        let at_w = from_w + dy * params.kw + dx;
        for (var c = 0u; c < params.cinG; c++) {
          acc += f32(x[at_x + c * plane]) * f32(weight[at_w + c * channel_step]);
        }
      }
    }
  }
  if (params.hasBias != 0u) {
    acc += f32(bias[o]);
  }
  let to = (image * params.yChannels + params.yFirst + o) * (params.oh * params.ow);
  y[to + i % (params.oh * params.ow)] = Elem(activate4(ACTIVATION, vec4f(acc)).x);
}
