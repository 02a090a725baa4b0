// The best values of a row so far, in registers: QUADS quads in order, greatest first, with the column of each. Inserting is a shift of all
// lower ones, by minimum and maximum, without a branch; of equal values the first to come stays above. NaN never comes in.

struct Quad {
  value: vec4f,
  column: vec4u,
}

struct Best {
  q0: Quad,
  q1: Quad,
  q2: Quad,
  q3: Quad,
  q4: Quad,
  q5: Quad,
  q6: Quad,
  q7: Quad,
  least: f32,
}

fn no_best() -> Best {
  let none = Quad(vec4f(-3.4e38), vec4u(0u));
  return Best(none, none, none, none, none, none, none, none, -3.4e38);
}

fn at4(v: vec4f, i: u32) -> f32 {
  return select(select(v.x, v.y, i == 1u), select(v.z, v.w, i == 3u), i > 1u);
}

fn column4(v: vec4u, i: u32) -> u32 {
  return select(select(v.x, v.y, i == 1u), select(v.z, v.w, i == 3u), i > 1u);
}

// A quad after `value` came in, `above` being the last of the quad before it.
fn grown(quad: Quad, above: f32, above_column: u32, value: f32, column: u32) -> Quad {
  let shifted = vec4f(above, quad.value.xyz);
  let columns = vec4u(above_column, quad.column.xyz);
  let stays = quad.value >= vec4f(value);
  let comes = shifted >= vec4f(value);
  return Quad(
    select(select(shifted, vec4f(value), comes), quad.value, stays),
    select(select(columns, vec4u(column), comes), quad.column, stays),
  );
}

fn insert(b: ptr<function, Best>, value: f32, column: u32) {
  if (QUADS > 7u) { (*b).q7 = grown((*b).q7, (*b).q6.value.w, (*b).q6.column.w, value, column); }
  if (QUADS > 6u) { (*b).q6 = grown((*b).q6, (*b).q5.value.w, (*b).q5.column.w, value, column); }
  if (QUADS > 5u) { (*b).q5 = grown((*b).q5, (*b).q4.value.w, (*b).q4.column.w, value, column); }
  if (QUADS > 4u) { (*b).q4 = grown((*b).q4, (*b).q3.value.w, (*b).q3.column.w, value, column); }
  if (QUADS > 3u) { (*b).q3 = grown((*b).q3, (*b).q2.value.w, (*b).q2.column.w, value, column); }
  if (QUADS > 2u) { (*b).q2 = grown((*b).q2, (*b).q1.value.w, (*b).q1.column.w, value, column); }
  if (QUADS > 1u) { (*b).q1 = grown((*b).q1, (*b).q0.value.w, (*b).q0.column.w, value, column); }
  (*b).q0 = grown((*b).q0, 3.4e38, 0u, value, column);
  (*b).least = quad_of(b, QUADS - 1u).value.w;
}

// The values of columns 4·c to 4·c + 3 come in where one of them is greater than the least of the best.
fn insert4(b: ptr<function, Best>, four: vec4f, c: u32) {
  if (any(four > vec4f((*b).least))) {
    for (var i = 0u; i < 4u; i++) {
      let value = at4(four, i);
      if (value > (*b).least) {
        insert(b, value, c * 4u + i);
      }
    }
  }
}

fn quad_of(b: ptr<function, Best>, q: u32) -> Quad {
  var quad = (*b).q0;
  if (q == 1u) { quad = (*b).q1; }
  if (q == 2u) { quad = (*b).q2; }
  if (q == 3u) { quad = (*b).q3; }
  if (q == 4u) { quad = (*b).q4; }
  if (q == 5u) { quad = (*b).q5; }
  if (q == 6u) { quad = (*b).q6; }
  if (q == 7u) { quad = (*b).q7; }
  return quad;
}
