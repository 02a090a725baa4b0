// y = the lower (MODE 0) or upper (1) triangle of x, zero elsewhere; or the symmetric matrix with x's lower triangle (2)
//
//   x, y: [batch, n, n]   one thread per element

alias Elem = f32;
const WG: u32 = 64;
const MODE: u32 = 0;

struct Params {
  batch: u32,
  n: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.batch * params.n * params.n) {
    return;
  }
  let j = id % params.n;
  let i = (id / params.n) % params.n;
  if (MODE == 2u) {
    y[id] = x[id - i * params.n - j + max(i, j) * params.n + min(i, j)];
    return;
  }
  let kept = select(j <= i, j >= i, MODE == 1u);
  y[id] = select(Elem(0.0), x[id], kept);
}
