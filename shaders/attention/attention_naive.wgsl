// o = softmax(scale · q·kᵀ + window) · v by heads; lse is the logarithm of each row's sum
//
//   q: [batch, tq, qStride] from qOffset, k and v alike   o: [batch, tq, heads·HEAD_DIM]   lse: [batch, tq, heads]
//   window and causal mask: see attention_scores.wgsl   one thread per query row and head
//   numerics: the greatest logit in a first pass, sums in f32; exponents are powers of two, clamped from below

alias Elem = f32;
const WG: u32 = 64;
const HEAD_DIM: u32 = 64; // sizes the array; loops take params.headDim, which no compiler unrolls
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
  qStride: u32,
  kStride: u32,
  vStride: u32,
  scale: f32,
  nPrefix: u32,
  gridWidth: u32,
  invTwoVar: f32,
}

@group(0) @binding(0) var<storage, read> q: array<Elem>;
@group(0) @binding(1) var<storage, read> k: array<Elem>;
@group(0) @binding(2) var<storage, read> v: array<Elem>;
@group(0) @binding(3) var<storage, read> level: array<Elem>;
@group(0) @binding(4) var<storage, read_write> o: array<Elem>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

fn logit(batch: u32, head: u32, i: u32, j: u32) -> f32 {
  let at_q = (batch * params.tq + i) * params.qStride + params.qOffset + head;
  let at_k = (batch * params.tk + j) * params.kStride + params.kOffset + head;
  var dot = 0.0;
  for (var d = 0u; d < params.headDim; d++) { dot += f32(q[at_q + d]) * f32(k[at_k + d]); }
  return score(dot * params.scale * LOG2_E, i, j, place(i), j, level_of(batch));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = wid.x * WG + lid;
  if (i >= params.tq) {
    return;
  }
  let head = wid.y * HEAD_DIM;
  var top = LOWEST;
  for (var j = 0u; j < params.tk; j++) { top = max(top, logit(wid.z, head, i, j)); }
  var sum = 0.0;
  var acc: array<f32, HEAD_DIM>;
  for (var d = 0u; d < params.headDim; d++) { acc[d] = 0.0; }
  for (var j = 0u; j < params.tk; j++) {
    let p = exp2(max(logit(wid.z, head, i, j) - top, -150.0));
    let at_v = (wid.z * params.tk + j) * params.vStride + params.vOffset + head;
    sum += p;
    for (var d = 0u; d < params.headDim; d++) { acc[d] += p * f32(v[at_v + d]); }
  }
  let row = wid.z * params.tq + i;
  lse[row * params.heads + wid.y] = (top + log2(sum)) / LOG2_E;
  for (var d = 0u; d < params.headDim; d++) {
    o[row * params.heads * HEAD_DIM + head + d] = Elem(acc[d] / sum);
  }
}
