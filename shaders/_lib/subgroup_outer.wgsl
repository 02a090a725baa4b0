// Outer products between values held one per lane and values of the own lane: eight rows of a are one load, each row is broadcast.

// The values of lanes 0 to 3.
fn low4(x: f32) -> vec4f {
  return vec4f(
    subgroupBroadcast(x, 0u),
    subgroupBroadcast(x, 1u),
    subgroupBroadcast(x, 2u),
    subgroupBroadcast(x, 3u),
  );
}

// The values of lanes 4 to 7.
fn high4(x: f32) -> vec4f {
  return vec4f(
    subgroupBroadcast(x, 4u),
    subgroupBroadcast(x, 5u),
    subgroupBroadcast(x, 6u),
    subgroupBroadcast(x, 7u),
  );
}

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
