// One of the three gradients of attention, p = exp(logit − lse) computed again, ds = p · (g·v − delta), delta = g·o:
//   OF 0: dq = scale · Σ ds·k over keys   OF 1: dk = scale · Σ ds·q over queries   OF 2: dv = Σ p·g over queries
//
//   q, k, v: rows of qStride, … from qOffset, …   g: [batch, tq, heads·HEAD_DIM]   lse, delta: [batch, tq, heads]
//   d: [batch, tokens, dStride] from dOffset, added to where ACCUMULATE   window and causal mask: see attention_scores.wgsl
//   64 rows per workgroup, one per thread with its q or k, its g or v and its gradient in registers; COLUMNS columns at a time pass
//   through workgroup memory. Any HEAD_DIM

alias Elem = f32;
const HEAD_DIM: u32 = 64;
const D4: u32 = (HEAD_DIM + 3) / 4;
const COLUMNS: u32 = 16;
const OF: u32 = 0;
const ACCUMULATE: bool = false;
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

var<workgroup> tile_a: array<vec4f, COLUMNS * D4>; // the columns' side of the logit
var<workgroup> tile_b: array<vec4f, COLUMNS * D4>; // the columns' side of g·v
var<workgroup> tile_lse: array<f32, COLUMNS>;
var<workgroup> tile_delta: array<f32, COLUMNS>;

fn place_q(z: u32, i: u32) -> u32 { return (z * params.tq + i) * params.qStride + params.qOffset; }
fn place_k(z: u32, j: u32) -> u32 { return (z * params.tk + j) * params.kStride + params.kOffset; }
fn place_v(z: u32, j: u32) -> u32 { return (z * params.tk + j) * params.vStride + params.vOffset; }
fn place_g(z: u32, i: u32) -> u32 { return (z * params.tq + i) * params.heads * HEAD_DIM; }

// Indices of vec4 c of a head's values that start at `at`, kept within it.
fn quad(at: u32, c: u32) -> vec4u {
  return vec4u(at) + min(vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u), vec4u(HEAD_DIM - 1u));
}

fn logit_side(z: u32, token: u32, head: u32, c: u32, queries: bool) -> vec4f {
  let in_q = quad(place_q(z, token) + head, c);
  let in_k = quad(place_k(z, token) + head, c);
  var x = vec4f(0.0);
  if (queries) { x = vec4f(f32(q[in_q.x]), f32(q[in_q.y]), f32(q[in_q.z]), f32(q[in_q.w])); }
  if (!queries) { x = vec4f(f32(k[in_k.x]), f32(k[in_k.y]), f32(k[in_k.z]), f32(k[in_k.w])); }
  return select(vec4f(0.0), x, (vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u)) < vec4u(HEAD_DIM));
}

fn value_side(z: u32, token: u32, head: u32, c: u32, queries: bool) -> vec4f {
  let in_g = quad(place_g(z, token) + head, c);
  let in_v = quad(place_v(z, token) + head, c);
  var x = vec4f(0.0);
  if (queries) { x = vec4f(f32(g[in_g.x]), f32(g[in_g.y]), f32(g[in_g.z]), f32(g[in_g.w])); }
  if (!queries) { x = vec4f(f32(v[in_v.x]), f32(v[in_v.y]), f32(v[in_v.z]), f32(v[in_v.w])); }
  return select(vec4f(0.0), x, (vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u)) < vec4u(HEAD_DIM));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let z = wid.z;
  let head = wid.y * HEAD_DIM;
  let of_queries = OF == 0u;
  let rows = select(params.tk, params.tq, of_queries);
  let columns = select(params.tq, params.tk, of_queries);
  let first = wid.x * 64u;
  let row = min(first + lid, rows - 1u);
  let own = place(row);
  let rise = level_of(z);
  let stat = (z * params.tq + min(row, params.tq - 1u)) * params.heads + wid.y;
  let own_lse = lse[stat];
  let own_delta = f32(delta[stat]);
  var r: array<vec4f, D4>;
  var e: array<vec4f, D4>;
  var acc: array<vec4f, D4>;
  for (var c = 0u; c < D4; c++) {
    r[c] = logit_side(z, row, head, c, of_queries);
    e[c] = value_side(z, row, head, c, of_queries);
    acc[c] = vec4f(0.0);
  }
  for (var j0 = 0u; j0 < columns; j0 += COLUMNS) {
    workgroupBarrier();
    for (var x = lid; x < COLUMNS * D4; x += 64u) {
      let token = min(j0 + x / D4, columns - 1u);
      tile_a[x] = logit_side(z, token, head, x % D4, !of_queries);
      tile_b[x] = value_side(z, token, head, x % D4, !of_queries);
    }
    if (lid < COLUMNS) {
      let at = (z * params.tq + min(j0 + lid, params.tq - 1u)) * params.heads + wid.y;
      tile_lse[lid] = lse[at];
      tile_delta[lid] = f32(delta[at]);
    }
    workgroupBarrier();
    let count = min(COLUMNS, columns - j0);
    for (var n = 0u; n < count; n++) {
      var s4 = vec4f(0.0);
      var t4 = vec4f(0.0);
      for (var c = 0u; c < D4; c++) {
        s4 += r[c] * tile_a[n * D4 + c];
        t4 += e[c] * tile_b[n * D4 + c];
      }
      let i = select(j0 + n, row, of_queries);
      let j = select(row, j0 + n, of_queries);
      let dot = (s4.x + s4.y + s4.z + s4.w) * params.scale * LOG2_E;
      let s = score(dot, i, j, own, j0 + n, rise);
      let sum = select(tile_lse[n], own_lse, of_queries) * LOG2_E;
      let offset = select(tile_delta[n], own_delta, of_queries);
      let p = exp2(clamp(s - sum, -150.0, 100.0));
      let ds = p * (t4.x + t4.y + t4.z + t4.w - offset) * params.scale;
      for (var c = 0u; c < D4; c++) {
        if (OF == 2u) { acc[c] += p * tile_b[n * D4 + c]; } else { acc[c] += ds * tile_a[n * D4 + c]; }
      }
    }
  }
  if (first + lid < rows) {
    let at = (z * rows + row) * params.dStride + params.dOffset + head;
    for (var c = 0u; c < HEAD_DIM; c++) {
      var x = acc[c / 4u][c % 4u];
      if (ACCUMULATE) { x += f32(d[at + c]); }
      d[at + c] = Elem(x);
    }
  }
}
