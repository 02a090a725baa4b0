// One step of the search for a row's precision; STEP is a constant of the shader, a state is (beta, low, high, nearest), low -1 once beta is found.

const TSNE_TOLERANCE: f32 = 1e-5; // of the entropy, as scikit-learn

// What a neighbour adds to (sum of weights, sum of weights times distance from the nearest); at the start, to that of distances.
fn precision_terms(distance: f32, state: vec4f) -> vec2f {
  if (STEP == 0u) { return vec2f(0.0, distance); }
  let far = distance - state.w;
  let weight = exp(max(-far * state.x, -100.0));
  return vec2f(weight, weight * far);
}

fn next_state(state: vec4f, sums: vec2f, nearest: f32, n: u32, entropy: f32) -> vec4f {
  if (is_found(state)) { return state; }
  if (STEP == 0u) {
    let mean = sums.y / f32(n - 1u) - nearest;
    return vec4f(select(1.0, 1.0 / mean, mean > 0.0), 0.0, 0.0, nearest);
  }
  if (STEP == 2u) { return vec4f(state.x, sums.x, state.z, state.w); }
  let excess = log(sums.x) + state.x * sums.y / sums.x - entropy;
  if (abs(excess) <= TSNE_TOLERANCE) { return vec4f(state.x, -1.0, state.z, state.w); }
  if (excess > 0.0) {
    let higher = select(0.5 * (state.x + state.z), 2.0 * state.x, state.z == 0.0);
    return vec4f(min(higher, 1.0e37), state.x, state.z, state.w);
  }
  return vec4f(0.5 * (state.x + state.y), state.y, state.x, state.w);
}

// A row whose search is over.
fn is_found(state: vec4f) -> bool {
  return STEP == 1u && state.y < 0.0;
}
