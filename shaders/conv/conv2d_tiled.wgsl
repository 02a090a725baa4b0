// y[n, o, ·] = activation(bias[o] + Σ_{c, tap} weight[o, c, tap] · x[n, c, tap_source(·, tap)])
//
//   x: [n, groups·cinG, h, w]   weight: [groups·coutG, cinG, kh, kw]   bias: [groups·coutG]   y: [n, groups·coutG, oh, ow]
//   y is channels yFirst and on of [n, yChannels, oh, ow], whose other channels stay as they are
//   TRANSPOSED: weight: [groups·cinG, coutG, kh, kw], and the taps run the other way (the gradient of a convolution by its input)
//   256 threads make ROWS channels of 64 pixels, 16 channels of one tap at a time through workgroup memory; a thread makes ROWS/16
//   channels of the pixels tx + 16·i. Pixels are those of all images in one row. The transposed form takes them phase by phase of the
//   stride, so that a tap serves a whole tile or none of it.
//   numerics: f32 sums over taps, then channels; what lies outside is loaded as 0

alias Elem = f32;
const ROWS: u32 = 64; // 32 or 64
const DEPTH: u32 = 16; // channels per round
const PIXELS: u32 = 64;
const TRANSPOSED: bool = false;
const ACTIVATION: u32 = 0; // code of activate4
const_assert ROWS == 32 || ROWS == 64;

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

var<workgroup> tile_w: array<f32, DEPTH * (ROWS + 1u)>; // [DEPTH, ROWS], padded against bank conflicts
var<workgroup> tile_x: array<f32, DEPTH * PIXELS>; // [DEPTH, PIXELS]

struct Pixel {
  live: bool,
  image: u32,
  oy: i32,
  ox: i32,
}

struct Strip {
  phase: vec2i,
  step: vec2i,
  sub: vec2u,
  first: u32,
}

fn pixel_at(strip: Strip, i: u32) -> Pixel {
  let p = strip.first + i;
  let image = p / (strip.sub.x * strip.sub.y);
  let oy = i32((p / strip.sub.x) % strip.sub.y) * strip.step.y + strip.phase.y;
  let ox = i32(p % strip.sub.x) * strip.step.x + strip.phase.x;
  let live = image < params.n && oy < i32(params.oh) && ox < i32(params.ow);
  return Pixel(live, image, oy, ox);
}

fn store(sum: vec4f, strip: Strip, tx: u32, group: u32, row: u32) {
  if (row >= params.coutG) {
    return;
  }
  let o = group * params.coutG + row;
  let v = activate4(ACTIVATION, sum + select(0.0, f32(bias[o]), params.hasBias != 0u));
  for (var q = 0u; q < 4u; q++) {
    let at = pixel_at(strip, tx + 16u * q);
    if (at.live) {
      let plane = at.image * params.yChannels + params.yFirst + o;
      let value = select(select(v.x, v.y, q == 1u), select(v.z, v.w, q == 3u), q >= 2u);
      y[(plane * params.oh + u32(at.oy)) * params.ow + u32(at.ox)] = Elem(value);
    }
  }
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lid: u32,
) {
  let step = select(vec2i(1), vec2i(params.strideX, params.strideY), TRANSPOSED);
  let phases = vec2u(step);
  let sub = (vec2u(params.ow, params.oh) + phases - 1u) / phases;
  let tiles = (params.n * sub.x * sub.y + PIXELS - 1u) / PIXELS;
  let turn = wid.y * nwg.x + wid.x;
  if (turn >= tiles * phases.x * phases.y) {
    return; // the grid was folded
  }
  let phase = vec2i(vec2u((turn / tiles) % phases.x, turn / tiles / phases.x));
  let strip = Strip(phase, step, sub, (turn % tiles) * PIXELS);
  let at = pixel_at(strip, lid % PIXELS); // the pixel that this thread loads

  let row_tiles = (params.coutG + ROWS - 1u) / ROWS;
  let group = wid.z / row_tiles;
  let row = (wid.z % row_tiles) * ROWS;
  let taps = params.kh * params.kw;
  let row_step = select(params.cinG * taps, taps, TRANSPOSED);
  let channel_step = select(taps, params.coutG * taps, TRANSPOSED);
  let from_w = group * params.coutG * params.cinG * taps;
  let plane = params.h * params.w;
  let from_x = (at.image * params.groups + group) * params.cinG * plane;
  let tx = lid % 16u;
  let ty = lid / 16u;

  var a0 = vec4f(0.0);
  var a1 = vec4f(0.0);
  var a2 = vec4f(0.0);
  var a3 = vec4f(0.0);
  for (var tap = 0u; tap < taps; tap++) {
    let shift = vec2i(vec2u(tap % params.kw, tap / params.kw)) * vec2i(params.dilationX, params.dilationY)
      - vec2i(params.padLeft, params.padTop);
    if (TRANSPOSED && any((phase - shift) % step != vec2i(0))) {
      continue; // this phase of the stride never meets the tap
    }
    let iy = tap_source(at.oy, shift.y, params.strideY, i32(params.h));
    let ix = tap_source(at.ox, shift.x, params.strideX, i32(params.w));
    let inside = at.live && iy >= 0 && ix >= 0;
    let i = select(0u, from_x + u32(iy) * params.w + u32(ix), inside);
    for (var c = 0u; c < params.cinG; c += DEPTH) {
      for (var k = lid / PIXELS; k < DEPTH; k += 4u) {
        let some = min(c + k, params.cinG - 1u);
        tile_x[k * PIXELS + lid % PIXELS] = select(0.0, f32(x[i + some * plane]), inside && c + k < params.cinG);
      }
      for (var r = lid / DEPTH; r < ROWS; r += 16u) {
        let k = c + lid % DEPTH;
        let o = min(row + r, params.coutG - 1u);
        let w = f32(weight[from_w + o * row_step + min(k, params.cinG - 1u) * channel_step + tap]);
        tile_w[(lid % DEPTH) * (ROWS + 1u) + r] = w; // a row or channel beyond the last repeats it: not stored, or times 0
      }
      workgroupBarrier();
      for (var k = 0u; k < DEPTH; k++) {
        let from_tile = k * PIXELS + tx;
        let v = vec4f(
          tile_x[from_tile],
          tile_x[from_tile + 16u],
          tile_x[from_tile + 32u],
          tile_x[from_tile + 48u],
        );
        let r = k * (ROWS + 1u) + ty;
        a0 += tile_w[r] * v;
        a1 += tile_w[r + 16u] * v;
        if (ROWS > 32u) {
          a2 += tile_w[r + 32u] * v;
          a3 += tile_w[r + 48u] * v;
        }
      }
      workgroupBarrier();
    }
  }
  store(a0, strip, tx, group, row + ty);
  store(a1, strip, tx, group, row + ty + 16u);
  if (ROWS > 32u) {
    store(a2, strip, tx, group, row + ty + 32u);
    store(a3, strip, tx, group, row + ty + 48u);
  }
}
