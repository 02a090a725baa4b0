// One pass of a Fourier transform of the middle axis, in order (Stockham): with s = done, t = j mod s and m = n / RADIX
//
//   y[o, (j − t)·RADIX + t + k·s, i] = scale · Σ_q e^(±2πi·q·(t / (s·RADIX) + k / RADIX)) · x[o, j + q·m, i]
//
//   x, y: [2, outer, n, inner], real parts first   circle: [n] cosine and sine of 2π·j / n
//   inner is a whole number of vec4s: one thread makes four butterflies, which share their circle
//   numerics: f32; a value takes two roundings for its turn and log₂ RADIX for the sum

alias Elem = f32;
alias V = vec4f;
alias Stored = vec4<Elem>;
const WG: u32 = 64;
const RADIX: u32 = 4; // 2, 3, 4 or 5
const IS_FIRST: bool = false; // done is 1: nothing is turned
const_assert RADIX >= 2 && RADIX <= 5;

struct Params {
  outer: u32,
  n: u32,
  inner: u32,
  done: u32,
  sign: f32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> circle: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = gid.y * (nwg.x * WG) + gid.x;
  let inner = params.inner / 4u;
  let m = params.n / RADIX;
  if (at >= params.outer * m * inner) {
    return;
  }
  let o = quotient(at, m * inner);
  let rest = at - o * m * inner;
  let j = quotient(rest, inner);
  let i = rest - j * inner;
  let t = j - quotient(j, params.done) * params.done;
  let base = o * params.n * inner + i;
  let to = base + ((j - t) * RADIX + t) * inner;
  let turn = t * (m / params.done);
  butterfly(base + j * inner, m * inner, turn, to, params.done * inner, params.outer * params.n * inner);
}
