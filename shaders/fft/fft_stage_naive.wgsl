// One pass of a Fourier transform of the middle axis, in order (Stockham): with s = done, t = j mod s and m = n / radix
//
//   y[o, (j − t)·radix + t + k·s, i] = scale · Σ_q e^(±2πi·q·(t / (s·radix) + k / radix)) · x[o, j + q·m, i]
//
//   x, y: [2, outer, n, inner], real parts first   circle: [n] cosine and sine of 2π·j / n
//   one thread per complex output, for any radix
//   numerics: f32 sums in order of q

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  outer: u32,
  n: u32,
  inner: u32,
  done: u32,
  radix: u32,
  sign: f32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> circle: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = gid.y * (nwg.x * WG) + gid.x;
  let plane = params.outer * params.n * params.inner;
  if (at >= plane) {
    return;
  }
  let i = at % params.inner;
  let p = (at / params.inner) % params.n;
  let o = at / (params.inner * params.n);
  let done = params.done;
  let m = params.n / params.radix;
  let along = p % (done * params.radix); // t + k·done
  let j = p / (done * params.radix) * done + p % done;
  let step = along * (m / done);
  var from_x = (o * params.n + j) * params.inner + i;
  var turn = 0u;
  var acc = vec2f(0.0);
  for (var q = 0u; q < params.radix; q++) {
    let w = vec2f(circle[turn].x, params.sign * circle[turn].y);
    let re = f32(x[from_x]);
    let im = f32(x[from_x + plane]);
    acc += vec2f(re * w.x - im * w.y, re * w.y + im * w.x);
    from_x += m * params.inner;
    turn += step;
    turn -= select(0u, params.n, turn >= params.n);
  }
  y[at] = Elem(params.scale * acc.x);
  y[at + plane] = Elem(params.scale * acc.y);
}
