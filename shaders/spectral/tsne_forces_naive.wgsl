// forces[r] = sum over j != i = first + r of (p w (y[i] - y[j]), t, t w (y[i] - y[j]), p log(p / t)), p = p[r, j],
// with Student's t(|y[i] - y[j]|) and w = t (scikit-learn), or t's own derivative where EXACT
//
//   p: [rows, n]   y: [n, DIM]   forces: [rows, 8]   one thread per row
//   The normalised q = t / sum(t) is never stored: t is summed here, the repulsion divided by the sum of all rows later.

const WG: u32 = 64;
const DIM: u32 = 2;
const DIVERGENCE: bool = true;
const EXACT: bool = false;

struct Params {
  rows: u32,
  n: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read> p: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> forces: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

fn point(i: u32) -> vec3f {
  let at = i * DIM;
  return vec3f(y[at], y[at + 1u], select(0.0, y[at + DIM - 1u], DIM == 3u));
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let row = gid.y * (nwg.x * WG) + gid.x;
  if (row >= params.rows) {
    return;
  }
  let own = point(params.first + row);
  var attraction = vec4f(0.0);
  var repulsion = vec4f(0.0);
  for (var j = 0u; j < params.n; j++) {
    let pair = tsne_pair(p[row * params.n + j], own - point(j));
    let other = j != params.first + row;
    attraction += select(vec4f(0.0), pair.attraction, other);
    repulsion += select(vec4f(0.0), pair.repulsion, other);
  }
  forces[2u * row] = attraction;
  forces[2u * row + 1u] = repulsion;
}
