// dw[s, o, c, tap] = Σ_{n, oy in part s} Σ_ox g[n, o, oy, ox] · x[n, c, oy·stride − pad + tap·dilation, …]
//
//   g: [n, groups·coutG, oh, ow]   x: [n, groups·cinG, h, w]   dw: [splits, groups·coutG, cinG, kh, kw]
//   one subgroup per workgroup makes ROWS output channels by 4·SG columns of dw, a column being a pair (c, tap): a lane holds columns
//   lane + SG·i of every row, one load of g holds eight rows at one pixel and is broadcast. No workgroup memory and no barrier.
//   The rows of g, image after image, are cut into `splits` parts that are summed afterwards.
//   numerics: f32 sums over the pixels in order; a pixel outside reads x[0] and counts as 0

alias Elem = f32;
const SG: u32 = 8; // lanes of a subgroup, at least 8
const ROWS: u32 = 32; // 8, 16 or 32
const_assert SG >= 8 && (ROWS == 8 || ROWS == 16 || ROWS == 32);

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

// Four columns of a lane at pixel ox of a row: `from` is where ix = 0 lies in x, `ix` the column of x at ox = 0.
fn load4(start: vec4i, ix0: vec4i, ox: u32, live: vec4<bool>) -> vec4f {
  let ix = ix0 + i32(ox) * params.strideX;
  let inside = live & (ix >= vec4i(0)) & (ix < vec4i(i32(params.w)));
  let i = vec4u(select(vec4i(0), start + ix, inside));
  let v = vec4f(f32(x[i.x]), f32(x[i.y]), f32(x[i.z]), f32(x[i.w]));
  return select(vec4f(0.0), v, inside);
}

fn store(v: vec4f, to: u32, row: u32, col: vec4u, columns: u32) {
  if (row >= params.coutG) {
    return;
  }
  let at = (to + row) * columns;
  if (col.x < columns) { dw[at + col.x] = Elem(v.x); }
  if (col.y < columns) { dw[at + col.y] = Elem(v.y); }
  if (col.z < columns) { dw[at + col.z] = Elem(v.z); }
  if (col.w < columns) { dw[at + col.w] = Elem(v.w); }
}

@compute @workgroup_size(SG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let taps = params.kh * params.kw;
  let columns = params.cinG * taps;
  let group = wid.z / params.splits;
  let part = wid.z % params.splits;
  let row = wid.y * ROWS;
  let cout = params.groups * params.coutG;

  let col = vec4u(wid.x * (SG * 4u) + lane) + vec4u(0u, SG, 2u * SG, 3u * SG);
  let some = min(col, vec4u(columns - 1u)); // a column beyond the last repeats it and is not stored
  let tap = some % taps;
  let iy0 = vec4i(tap / params.kw) * params.dilationY - params.padTop;
  let ix0 = vec4i(tap % params.kw) * params.dilationX - params.padLeft;
  let channel = vec4i(group * params.cinG + some / taps);

  let last = params.coutG - 1u;
  let my_row = row + (lane & 7u);
  let plane = params.oh * params.ow;
  let r0 = (group * params.coutG + min(my_row, last)) * plane;
  let r1 = (group * params.coutG + min(my_row + 8u, last)) * plane;
  let r2 = (group * params.coutG + min(my_row + 16u, last)) * plane;
  let r3 = (group * params.coutG + min(my_row + 24u, last)) * plane;

  var a0 = mat4x4f(); var a1 = mat4x4f(); var a2 = mat4x4f(); var a3 = mat4x4f();
  var a4 = mat4x4f(); var a5 = mat4x4f(); var a6 = mat4x4f(); var a7 = mat4x4f();
  let rows = params.n * params.oh;
  let each = (rows + params.splits - 1u) / params.splits;
  for (var r = part * each; r < min((part + 1u) * each, rows); r++) {
    let image = r / params.oh;
    let oy = r % params.oh;
    let from_g = image * cout * plane + oy * params.ow;
    let iy = iy0 + i32(oy) * params.strideY;
    let live = (iy >= vec4i(0)) & (iy < vec4i(i32(params.h)));
    let from_x = ((i32(image * params.groups * params.cinG) + channel) * i32(params.h) + iy) * i32(params.w);
    for (var ox = 0u; ox < params.ow; ox += 2u) {
      // The second half of the last step of an odd width adds zero. Loads come before arithmetic: a CPU driver branches around each.
      let next = min(ox + 1u, params.ow - 1u);
      let alone = next == ox;
      let v = load4(from_x, ix0, ox, live);
      let z = load4(from_x, ix0, next, live & vec4<bool>(!alone));
      let k = from_g + ox;
      let l = from_g + next;
      let p0 = f32(g[r0 + k]);
      let q0 = f32(g[r0 + l]);
      var p1 = 0.0; var q1 = 0.0; var p2 = 0.0; var q2 = 0.0; var p3 = 0.0; var q3 = 0.0;
      if (ROWS > 8u) {
        p1 = f32(g[r1 + k]);
        q1 = f32(g[r1 + l]);
      }
      if (ROWS > 16u) {
        p2 = f32(g[r2 + k]);
        q2 = f32(g[r2 + l]);
        p3 = f32(g[r3 + k]);
        q3 = f32(g[r3 + l]);
      }
      a0 = outer2(a0, low4(p0), v, low4(q0), z);
      a1 = outer2(a1, high4(p0), v, high4(q0), z);
      if (ROWS > 8u) {
        a2 = outer2(a2, low4(p1), v, low4(q1), z);
        a3 = outer2(a3, high4(p1), v, high4(q1), z);
      }
      if (ROWS > 16u) {
        a4 = outer2(a4, low4(p2), v, low4(q2), z);
        a5 = outer2(a5, high4(p2), v, high4(q2), z);
        a6 = outer2(a6, low4(p3), v, low4(q3), z);
        a7 = outer2(a7, high4(p3), v, high4(q3), z);
      }
    }
  }
  let to = part * cout + group * params.coutG;
  for (var r = 0u; r < 8u; r++) {
    store(row_of8(a0, a1, r), to, row + r, col, columns);
    if (ROWS > 8u) {
      store(row_of8(a2, a3, r), to, row + 8u + r, col, columns);
    }
    if (ROWS > 16u) {
      store(row_of8(a4, a5, r), to, row + 16u + r, col, columns);
      store(row_of8(a6, a7, r), to, row + 24u + r, col, columns);
    }
  }
}
