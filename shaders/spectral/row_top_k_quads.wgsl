// the k greatest of x − shift in every row, greatest first, of equal ones the first: values and columns
//
//   x: [rows, n], n divisible by 4   shift: [n]   values, indices: [rows, k], k ≤ 4·QUADS
//   one thread per row: the best so far stay in registers in order, and a quad of columns is looked at closely only where one of them is
//   greater than the least of those. Inserting is a shift of all lower ones, by minimum and maximum, without a branch.
//   numerics: exact; NaN is never among the greatest

alias Elem = f32;
const WG: u32 = 64;
const QUADS: u32 = 8; // registers of four

struct Params {
  rows: u32,
  n: u32,
  k: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> shift: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

struct Quad {
  value: vec4f,
  column: vec4u,
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

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let row = gid.y * (nwg.x * WG) + gid.x;
  if (row >= params.rows) {
    return;
  }
  let none = Quad(vec4f(-3.4e38), vec4u(0u));
  var q0 = none; var q1 = none; var q2 = none; var q3 = none;
  var q4 = none; var q5 = none; var q6 = none; var q7 = none;
  var least = -3.4e38;
  let n4 = params.n / 4u;
  for (var c = 0u; c < n4; c++) {
    let four = vec4f(x[row * n4 + c]) - vec4f(shift[c]);
    if (any(four > vec4f(least))) {
      for (var i = 0u; i < 4u; i++) {
        let value = select(select(four.x, four.y, i == 1u), select(four.z, four.w, i == 3u), i > 1u);
        if (value > least) {
          let column = c * 4u + i;
          if (QUADS > 7u) { q7 = grown(q7, q6.value.w, q6.column.w, value, column); }
          if (QUADS > 6u) { q6 = grown(q6, q5.value.w, q5.column.w, value, column); }
          if (QUADS > 5u) { q5 = grown(q5, q4.value.w, q4.column.w, value, column); }
          if (QUADS > 4u) { q4 = grown(q4, q3.value.w, q3.column.w, value, column); }
          if (QUADS > 3u) { q3 = grown(q3, q2.value.w, q2.column.w, value, column); }
          if (QUADS > 2u) { q2 = grown(q2, q1.value.w, q1.column.w, value, column); }
          if (QUADS > 1u) { q1 = grown(q1, q0.value.w, q0.column.w, value, column); }
          q0 = grown(q0, 3.4e38, 0u, value, column);
          least = q7.value.w;
          if (QUADS == 7u) { least = q6.value.w; }
          if (QUADS == 6u) { least = q5.value.w; }
          if (QUADS == 5u) { least = q4.value.w; }
          if (QUADS == 4u) { least = q3.value.w; }
          if (QUADS == 3u) { least = q2.value.w; }
          if (QUADS == 2u) { least = q1.value.w; }
          if (QUADS == 1u) { least = q0.value.w; }
        }
      }
    }
  }
  for (var j = 0u; j < params.k; j++) {
    var quad = q0;
    let q = j / 4u;
    if (q == 1u) { quad = q1; }
    if (q == 2u) { quad = q2; }
    if (q == 3u) { quad = q3; }
    if (q == 4u) { quad = q4; }
    if (q == 5u) { quad = q5; }
    if (q == 6u) { quad = q6; }
    if (q == 7u) { quad = q7; }
    let i = j % 4u;
    values[row * params.k + j] = select(select(quad.value.x, quad.value.y, i == 1u), select(quad.value.z, quad.value.w, i == 3u), i > 1u);
    indices[row * params.k + j] = select(select(quad.column.x, quad.column.y, i == 1u), select(quad.column.z, quad.column.w, i == 3u), i > 1u);
  }
}
