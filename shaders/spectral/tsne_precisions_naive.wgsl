// One halving of the search for the precision beta of each row whose neighbours j have the weights exp(-(d[r, j] - nearest) beta),
// normalised, of the wanted entropy
//
//   d: [rows, n]   states: [rows, (beta, low, high, nearest)], high 0 while there is none, low -1 once beta is found; row r is point first + r, itself no neighbour
//   STEP 0 starts at the reciprocal of the mean distance, 1 halves, 2 writes the sum of the weights in place of low
//   one thread per row; numerics: exponents are at most 0 and one of them is 0, so sums are from 1 to n

const WG: u32 = 64;
const STEP: u32 = 1;

struct Params {
  rows: u32,
  n: u32,
  first: u32,
  entropy: f32,
}

@group(0) @binding(0) var<storage, read> d: array<f32>;
@group(0) @binding(1) var<storage, read_write> states: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let row = gid.y * (nwg.x * WG) + gid.x;
  if (row >= params.rows) {
    return;
  }
  let state = states[row];
  if (is_found(state)) {
    return;
  }
  var sums = vec2f(0.0);
  var nearest = 3.0e38;
  for (var j = 0u; j < params.n; j++) {
    let distance = d[row * params.n + j];
    let other = j != params.first + row;
    nearest = select(nearest, min(nearest, distance), other);
    sums = select(sums, sums + precision_terms(distance, state), other);
  }
  states[row] = next_state(state, sums, nearest, params.n, params.entropy);
}
