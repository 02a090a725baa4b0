// d[r, j] = s, or (s / 2)^2 where SQUARED, with s = |x[:, first + r] - x[:, j]|^2
//
//   x: [width, n], a column per point, so that neighbouring threads read neighbours   d: [rows, n]   one thread per distance
//   Differences, not products: near neighbours decide the embedding, and their distances would cancel.
//   For rows of unit length s / 2 = 1 - cos: SQUARED gives the square of the cosine distance.

const WG: u32 = 64;
const SQUARED: bool = false;

struct Params {
  rows: u32,
  n: u32,
  width: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> d: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.rows * params.n) {
    return;
  }
  let r = id / params.n;
  let i = params.first + r;
  let j = id - r * params.n;
  var total = 0.0;
  for (var c = 0u; c < params.width; c++) {
    let difference = x[c * params.n + i] - x[c * params.n + j];
    total += difference * difference;
  }
  d[id] = select(total, 0.25 * total * total, SQUARED);
}
