// dw[s, o, c, tap] = Σ_{n, oy in part s} Σ_ox g[n, o, oy, ox] · x[n, c, oy·stride − pad + tap·dilation, …]
//
//   g: [n, groups·coutG, oh, ow]   x: [n, groups·cinG, h, w]   dw: [splits, groups·coutG, cinG, kh, kw]
//   one thread per output; the rows of g, image after image, are cut into `splits` parts that are summed afterwards

alias Elem = f32;
const WG: u32 = 64;

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
  splits: u32,
  strideY: i32,
  strideX: i32,
  padTop: i32,
  padLeft: i32,
  dilationY: i32,
  dilationX: i32,
}

@group(0) @binding(0) var<storage, read> g: array<Elem>;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> dw: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  let cout = params.groups * params.coutG;
  let taps = params.kh * params.kw;
  if (i >= params.splits * cout * params.cinG * taps) {
    return;
  }
  let dy = i32((i / params.kw) % params.kh);
  let dx = i32(i % params.kw);
  let c = (i / taps) % params.cinG;
  let o = (i / (taps * params.cinG)) % cout;
  let part = i / (taps * params.cinG * cout);
  let rows = params.n * params.oh;
  let each = (rows + params.splits - 1u) / params.splits;
  let channel = (o / params.coutG) * params.cinG + c;
  var acc = 0.0;
  for (var r = part * each; r < min((part + 1u) * each, rows); r++) {
    let image = r / params.oh;
    let oy = r % params.oh;
    let iy = i32(oy) * params.strideY + dy * params.dilationY - params.padTop;
    if (iy < 0 || iy >= i32(params.h)) {
      continue;
    }
    let from_g = ((image * cout + o) * params.oh + oy) * params.ow;
    let from_x = ((image * params.groups * params.cinG + channel) * params.h + u32(iy)) * params.w;
    for (var ox = 0u; ox < params.ow; ox++) {
      let ix = i32(ox) * params.strideX + dx * params.dilationX - params.padLeft;
      if (ix >= 0 && ix < i32(params.w)) {
        acc += f32(g[from_g + ox]) * f32(x[from_x + u32(ix)]);
      }
    }
  }
  dw[i] = Elem(acc);
}
