// One of the three gradients of attention, p = exp(logit − lse) computed again, ds = p · (g·v − delta), delta = g·o:
//   OF 0: dq = scale · Σ ds·k over keys   OF 1: dk = scale · Σ ds·q over queries   OF 2: dv = Σ p·g over queries
//
//   q, k, v: rows of qStride, … from qOffset, …   g: [batch, tq, heads·HEAD_DIM]   lse, delta: [batch, tq, heads]
//   d: [batch, tokens, dStride] from dOffset, added to where ACCUMULATE   window and causal mask: see attention_scores.wgsl
//   one thread per row of d and head

alias Elem = f32;
const WG: u32 = 64;
const HEAD_DIM: u32 = 64; // sizes the array; loops take params.headDim, which no compiler unrolls
const OF: u32 = 0;
const ACCUMULATE: bool = false;
const CAUSAL: bool = false;
const WINDOW: bool = false;
const POSITIONAL: bool = false;

struct Params {
  tq: u32,
  tk: u32,
  heads: u32,
  headDim: u32,
  qOffset: u32,
  kOffset: u32,
  vOffset: u32,
  dOffset: u32,
  qStride: u32,
  kStride: u32,
  vStride: u32,
  dStride: u32,
  scale: f32,
  nPrefix: u32,
  gridWidth: u32,
  invTwoVar: f32,
}

@group(0) @binding(0) var<storage, read> q: array<Elem>;
@group(0) @binding(1) var<storage, read> k: array<Elem>;
@group(0) @binding(2) var<storage, read> v: array<Elem>;
@group(0) @binding(3) var<storage, read> g: array<Elem>;
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> delta: array<Elem>;
@group(0) @binding(6) var<storage, read> level: array<Elem>;
@group(0) @binding(7) var<storage, read_write> d: array<Elem>;
@group(0) @binding(8) var<uniform> params: Params;

fn place_q(z: u32, i: u32) -> u32 { return (z * params.tq + i) * params.qStride + params.qOffset; }
fn place_k(z: u32, j: u32) -> u32 { return (z * params.tk + j) * params.kStride + params.kOffset; }
fn place_v(z: u32, j: u32) -> u32 { return (z * params.tk + j) * params.vStride + params.vOffset; }
fn place_g(z: u32, i: u32) -> u32 { return (z * params.tq + i) * params.heads * HEAD_DIM; }

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let z = wid.z;
  let head = wid.y * HEAD_DIM;
  let of_queries = OF == 0u;
  let rows = select(params.tk, params.tq, of_queries);
  let columns = select(params.tq, params.tk, of_queries);
  let row = wid.x * WG + lid;
  if (row >= rows) {
    return;
  }
  let own = place(row);
  let rise = level_of(z);
  var acc: array<f32, HEAD_DIM>;
  for (var c = 0u; c < params.headDim; c++) { acc[c] = 0.0; }
  for (var column = 0u; column < columns; column++) {
    let i = select(column, row, of_queries);
    let j = select(row, column, of_queries);
    let at_q = place_q(z, i) + head;
    let at_k = place_k(z, j) + head;
    let at_v = place_v(z, j) + head;
    let at_g = place_g(z, i) + head;
    let stat = (z * params.tq + i) * params.heads + wid.y;
    var s = 0.0;
    var t = 0.0;
    for (var c = 0u; c < params.headDim; c++) {
      s += f32(q[at_q + c]) * f32(k[at_k + c]);
      t += f32(g[at_g + c]) * f32(v[at_v + c]);
    }
    s = score(s * params.scale * LOG2_E, i, j, own, column, rise);
    let p = exp2(clamp(s - lse[stat] * LOG2_E, -150.0, 100.0));
    let ds = p * (t - f32(delta[stat])) * params.scale;
    for (var c = 0u; c < params.headDim; c++) {
      if (OF == 0u) { acc[c] += ds * f32(k[at_k + c]); }
      if (OF == 1u) { acc[c] += ds * f32(q[at_q + c]); }
      if (OF == 2u) { acc[c] += p * f32(g[at_g + c]); }
    }
  }
  let at = (z * rows + row) * params.dStride + params.dOffset + head;
  for (var c = 0u; c < params.headDim; c++) {
    var x = acc[c];
    if (ACCUMULATE) { x += f32(d[at + c]); }
    d[at + c] = Elem(x);
  }
}
