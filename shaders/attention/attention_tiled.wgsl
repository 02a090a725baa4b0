// o = softmax(scale · q·kᵀ + window) · v by heads, in one pass over the keys; lse is the logarithm of each row's sum
//
//   q: [batch, tq, qStride] from qOffset, k and v alike   o: [batch, tq, heads·HEAD_DIM]   lse: [batch, tq, heads]
//   window and causal mask: see attention_scores.wgsl   any HEAD_DIM
//   64 query rows per workgroup, one per thread with its q and o in registers; KEYS keys at a time pass through workgroup memory,
//   which all threads read at the same address
//   numerics: running maximum and sum in f32; exponents are powers of two (scale includes log2 e), clamped from below

alias Elem = f32;
const HEAD_DIM: u32 = 64;
const D4: u32 = (HEAD_DIM + 3) / 4;
const KEYS: u32 = 16;
const CAUSAL: bool = false;
const WINDOW: bool = false;
const POSITIONAL: bool = false;

struct Params {
  tq: u32,
  tk: u32,
  heads: u32,
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

var<workgroup> tile_k: array<vec4f, KEYS * D4>;
var<workgroup> tile_v: array<vec4f, KEYS * D4>;

fn mask(d: u32) -> vec4<bool> {
  return (vec4u(4u * d) + vec4u(0u, 1u, 2u, 3u)) < vec4u(HEAD_DIM);
}

// Vec4 d of a head's values that start at `at`; beyond HEAD_DIM they are zero.
fn quad(at: u32, d: u32) -> vec4u {
  return vec4u(at) + min(vec4u(4u * d) + vec4u(0u, 1u, 2u, 3u), vec4u(HEAD_DIM - 1u));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let first = wid.x * 64u;
  let i = first + lid;
  let head = wid.y * HEAD_DIM;
  let at_q = (wid.z * params.tq + min(i, params.tq - 1u)) * params.qStride + params.qOffset + head;
  var x: array<vec4f, D4>;
  var acc: array<vec4f, D4>;
  for (var d = 0u; d < D4; d++) {
    let c = quad(at_q, d);
    let own = vec4f(f32(q[c.x]), f32(q[c.y]), f32(q[c.z]), f32(q[c.w]));
    x[d] = select(vec4f(0.0), own * (params.scale * LOG2_E), mask(d));
    acc[d] = vec4f(0.0);
  }
  let place_i = place(i);
  let rise = level_of(wid.z);
  var m = LOWEST;
  var l = 0.0;
  let end = select(params.tk, min(params.tk, first + 64u), CAUSAL);
  for (var j0 = 0u; j0 < end; j0 += KEYS) {
    workgroupBarrier();
    for (var e = lid; e < KEYS * D4; e += 64u) {
      let token = wid.z * params.tk + min(j0 + e / D4, params.tk - 1u);
      let ck = quad(token * params.kStride + params.kOffset + head, e % D4);
      let cv = quad(token * params.vStride + params.vOffset + head, e % D4);
      tile_k[e] = vec4f(f32(k[ck.x]), f32(k[ck.y]), f32(k[ck.z]), f32(k[ck.w]));
      tile_v[e] = vec4f(f32(v[cv.x]), f32(v[cv.y]), f32(v[cv.z]), f32(v[cv.w]));
    }
    workgroupBarrier();
    let count = min(KEYS, end - j0);
    for (var t = 0u; t < count; t++) {
      var dots = vec4f(0.0);
      for (var d = 0u; d < D4; d++) { dots += x[d] * tile_k[t * D4 + d]; }
      let s = score(dots.x + dots.y + dots.z + dots.w, i, j0 + t, place_i, j0 + t, rise);
      let top = max(m, s);
      let keep = exp2(max(m - top, -150.0));
      let p = exp2(max(s - top, -150.0));
      m = top;
      l = l * keep + p;
      for (var d = 0u; d < D4; d++) { acc[d] = acc[d] * keep + p * tile_v[t * D4 + d]; }
    }
  }
  if (i < params.tq) {
    let row = wid.z * params.tq + i;
    lse[row * params.heads + wid.y] = (m + log2(l)) / LOG2_E;
    for (var c = 0u; c < HEAD_DIM; c++) {
      o[row * params.heads * HEAD_DIM + head + c] = Elem(acc[c / 4u][c % 4u] / l);
    }
  }
}
