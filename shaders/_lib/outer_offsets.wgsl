// Where a place on the outer axes of a copy lies, in x and in y.

// Offsets in x and y of index z over the outer axes, of which OUTER are longer than 1. Negative strides wrap around 2^32.
fn outer_offsets(z: u32) -> vec2u {
  var rest = z;
  var offsets = vec2u(params.sourceStart, params.start);
  if (OUTER > 1u) {
    let next = quotient(rest, params.n3);
    offsets += (rest - next * params.n3) * vec2u(params.s3, params.d3);
    rest = next;
  }
  if (OUTER > 2u) {
    let next = quotient(rest, params.n2);
    offsets += (rest - next * params.n2) * vec2u(params.s2, params.d2);
    rest = next;
  }
  if (OUTER > 3u) {
    let next = quotient(rest, params.n1);
    offsets += (rest - next * params.n1) * vec2u(params.s1, params.d1);
    rest = next;
  }
  let last = select(
    select(vec2u(params.s3, params.d3), vec2u(params.s2, params.d2), OUTER == 2u),
    select(vec2u(params.s1, params.d1), vec2u(params.s0, params.d0), OUTER == 4u),
    OUTER > 2u,
  );
  return offsets + rest * last;
}

// Exact below 2^22, and a grid has no more than 65535 workgroups in z; integer division is dear on software drivers.
fn quotient(a: u32, b: u32) -> u32 {
  return u32((f32(a) + 0.5) / f32(b));
}
