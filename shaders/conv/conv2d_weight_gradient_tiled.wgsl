// dw[s, o, c, tap] = Σ_{n, oy in part s} Σ_ox g[n, o, oy, ox] · x[n, c, oy·stride − pad + tap·dilation, …]
//
//   g: [n, groups·coutG, oh, ow]   x: [n, groups·cinG, h, w]   dw: [splits, groups·coutG, cinG, kh, kw]
//   256 threads make 64 output channels by 64 columns of dw, a column being a pair (c, tap), from 16 pixels at a time through workgroup
//   memory; a thread makes four channels of the columns tx + 16·i.
//   The rows of g, image after image, are cut into `splits` parts that are summed afterwards.
//   numerics: f32 sums over the pixels in order; what lies outside is loaded as 0

alias Elem = f32;
const TILE: u32 = 64;
const DEPTH: u32 = 16; // pixels per round

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

var<workgroup> tile_g: array<f32, DEPTH * (TILE + 1u)>; // [DEPTH, TILE], padded against bank conflicts
var<workgroup> tile_x: array<f32, DEPTH * TILE>; // [DEPTH, TILE]

fn store(v: vec4f, to: u32, row: u32, col: u32, columns: u32) {
  if (row >= params.coutG) {
    return;
  }
  let at = (to + row) * columns + col;
  if (col < columns) { dw[at] = Elem(v.x); }
  if (col + 16u < columns) { dw[at + 16u] = Elem(v.y); }
  if (col + 32u < columns) { dw[at + 32u] = Elem(v.z); }
  if (col + 48u < columns) { dw[at + 48u] = Elem(v.w); }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let taps = params.kh * params.kw;
  let columns = params.cinG * taps;
  let cout = params.groups * params.coutG;
  let cin = params.groups * params.cinG;
  let group = wid.z / params.splits;
  let part = wid.z % params.splits;
  let row = wid.y * TILE;
  let tx = lid % 16u;
  let ty = lid / 16u;

  // The column that this thread loads.
  let col = min(wid.x * TILE + lid % TILE, columns - 1u);
  let tap = col % taps;
  let dy = i32(tap / params.kw) * params.dilationY - params.padTop;
  let dx = i32(tap % params.kw) * params.dilationX - params.padLeft;
  let channel = group * params.cinG + col / taps;

  let rows = params.n * params.oh;
  let each = (rows + params.splits - 1u) / params.splits;
  let end = min((part + 1u) * each, rows) * params.ow;
  let plane = params.oh * params.ow;

  var a0 = vec4f(0.0);
  var a1 = vec4f(0.0);
  var a2 = vec4f(0.0);
  var a3 = vec4f(0.0);
  for (var first = part * each * params.ow; first < end; first += DEPTH) {
    for (var k = lid / TILE; k < DEPTH; k += 4u) {
      let p = min(first + k, end - 1u);
      let image = p / plane;
      let iy = i32((p / params.ow) % params.oh) * params.strideY + dy;
      let ix = i32(p % params.ow) * params.strideX + dx;
      let inside = first + k < end && iy >= 0 && iy < i32(params.h) && ix >= 0 && ix < i32(params.w);
      let at = ((image * cin + channel) * params.h + u32(iy)) * params.w + u32(ix);
      tile_x[k * TILE + lid % TILE] = select(0.0, f32(x[select(0u, at, inside)]), inside);
    }
    let p = min(first + lid % DEPTH, end - 1u);
    let image = p / plane;
    for (var r = lid / DEPTH; r < TILE; r += 16u) {
      let o = group * params.coutG + min(row + r, params.coutG - 1u);
      tile_g[(lid % DEPTH) * (TILE + 1u) + r] = f32(g[(image * cout + o) * plane + p % plane]);
    }
    workgroupBarrier();
    for (var k = 0u; k < DEPTH; k++) {
      let i = k * TILE + tx;
      let v = vec4f(tile_x[i], tile_x[i + 16u], tile_x[i + 32u], tile_x[i + 48u]);
      let r = k * (TILE + 1u) + ty;
      a0 += tile_g[r] * v;
      a1 += tile_g[r + 16u] * v;
      a2 += tile_g[r + 32u] * v;
      a3 += tile_g[r + 48u] * v;
    }
    workgroupBarrier();
  }
  let to = part * cout + group * params.coutG;
  let out_col = wid.x * TILE + tx;
  store(a0, to, row + ty, out_col, columns);
  store(a1, to, row + ty + 16u, out_col, columns);
  store(a2, to, row + ty + 32u, out_col, columns);
  store(a3, to, row + ty + 48u, out_col, columns);
}
