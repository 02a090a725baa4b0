// Outer products of values of the own lane.

// c + p·yᵀ + q·zᵀ: four rows (one per column of the matrix type) by four columns. Two steps of k at once, because a CPU driver keeps
// the accumulators in memory and blends each by the execution mask once per round.
fn outer2(c: mat4x4f, p: vec4f, y: vec4f, q: vec4f, z: vec4f) -> mat4x4f {
  return mat4x4f(
    c[0] + p.x * y + q.x * z,
    c[1] + p.y * y + q.y * z,
    c[2] + p.z * y + q.z * z,
    c[3] + p.w * y + q.w * z,
  );
}

// Row r of eight, without an array that is indexed at run time.
fn row_of8(low: mat4x4f, high: mat4x4f, r: u32) -> vec4f {
  let upper = r >= 4u;
  let s = r & 3u;
  let v01 = select(select(low[0], high[0], upper), select(low[1], high[1], upper), s == 1u);
  let v23 = select(select(low[2], high[2], upper), select(low[3], high[3], upper), s == 3u);
  return select(v01, v23, s >= 2u);
}

// Row r of four.
fn row_of4(m: mat4x4f, r: u32) -> vec4f {
  return select(select(m[0], m[1], r == 1u), select(m[2], m[3], r == 3u), r >= 2u);
}

fn pick(a: mat4x4f, b: mat4x4f, second: bool) -> mat4x4f {
  return mat4x4f(
    select(a[0], b[0], second),
    select(a[1], b[1], second),
    select(a[2], b[2], second),
    select(a[3], b[3], second),
  );
}
