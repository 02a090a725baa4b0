// Six values or rows of a Winograd tile, for the points 0, ±A, ±B and ∞.

const A: f32 = 0.625;
const B: f32 = 1.375;
const AA: f32 = A * A;
const BB: f32 = B * B;

struct Six {
  lo: vec3f,
  hi: vec3f,
}

// Bᵀ: what six values become before the products.
fn before(lo: vec3f, hi: vec3f) -> Six {
  let even_a = hi.y - BB * lo.z;
  let odd_a = A * (hi.x - BB * lo.y);
  let even_b = hi.y - AA * lo.z;
  let odd_b = B * (hi.x - AA * lo.y);
  return Six(
    vec3f(AA * BB * lo.x - (AA + BB) * lo.z + hi.y, even_a + odd_a, even_a - odd_a),
    vec3f(even_b + odd_b, even_b - odd_b, AA * BB * lo.y - (AA + BB) * hi.x + hi.z),
  );
}

// G: what three taps become before the products.
fn of_taps(g: vec3f) -> Six {
  let scale_a = 1.0 / (2.0 * AA * (AA - BB));
  let scale_b = 1.0 / (2.0 * BB * (BB - AA));
  let even_a = (g.x + AA * g.z) * scale_a;
  let odd_a = A * g.y * scale_a;
  let even_b = (g.x + BB * g.z) * scale_b;
  let odd_b = B * g.y * scale_b;
  return Six(
    vec3f(g.x / (AA * BB), even_a + odd_a, even_a - odd_a),
    vec3f(even_b + odd_b, even_b - odd_b, g.z),
  );
}

// Aᵀ: what the six products come to.
fn after(lo: vec3f, hi: vec3f) -> vec4f {
  let even_a = lo.y + lo.z;
  let odd_a = A * (lo.y - lo.z);
  let even_b = hi.x + hi.y;
  let odd_b = B * (hi.x - hi.y);
  return vec4f(
    lo.x + even_a + even_b,
    odd_a + odd_b,
    AA * even_a + BB * even_b,
    AA * odd_a + BB * odd_b + hi.z,
  );
}
