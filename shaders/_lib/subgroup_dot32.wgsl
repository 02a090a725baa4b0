// A column of a matrix, chosen at run time without an array.
fn column_of(m: mat4x4f, c: u32) -> vec4f {
  return select(select(m[0], m[1], c == 1u), select(m[2], m[3], c == 3u), c >= 2u);
}

fn with_column(m: mat4x4f, c: u32, x: vec4f) -> mat4x4f {
  return mat4x4f(
    select(m[0], x, c == 0u),
    select(m[1], x, c == 1u),
    select(m[2], x, c == 2u),
    select(m[3], x, c == 3u),
  );
}

// Products of a lane's own 32 values (two groups of four vec4s) with 32 values that eight lanes hold, one vec4 each.

fn dot32(low: mat4x4f, high: mat4x4f, k: vec4f) -> f32 {
  let a = low[0] * subgroupBroadcast(k, 0u) + low[1] * subgroupBroadcast(k, 1u) +
    low[2] * subgroupBroadcast(k, 2u) + low[3] * subgroupBroadcast(k, 3u);
  let b = high[0] * subgroupBroadcast(k, 4u) + high[1] * subgroupBroadcast(k, 5u) +
    high[2] * subgroupBroadcast(k, 6u) + high[3] * subgroupBroadcast(k, 7u);
  let c = a + b;
  return (c.x + c.y) + (c.z + c.w);
}

// acc · keep + p · x + q · y for the first 16 of the 32 values.
fn add32l(acc: mat4x4f, keep: f32, p: f32, x: vec4f, q: f32, y: vec4f) -> mat4x4f {
  return mat4x4f(
    acc[0] * keep + p * subgroupBroadcast(x, 0u) + q * subgroupBroadcast(y, 0u),
    acc[1] * keep + p * subgroupBroadcast(x, 1u) + q * subgroupBroadcast(y, 1u),
    acc[2] * keep + p * subgroupBroadcast(x, 2u) + q * subgroupBroadcast(y, 2u),
    acc[3] * keep + p * subgroupBroadcast(x, 3u) + q * subgroupBroadcast(y, 3u),
  );
}

// The same for the last 16.
fn add32h(acc: mat4x4f, keep: f32, p: f32, x: vec4f, q: f32, y: vec4f) -> mat4x4f {
  return mat4x4f(
    acc[0] * keep + p * subgroupBroadcast(x, 4u) + q * subgroupBroadcast(y, 4u),
    acc[1] * keep + p * subgroupBroadcast(x, 5u) + q * subgroupBroadcast(y, 5u),
    acc[2] * keep + p * subgroupBroadcast(x, 6u) + q * subgroupBroadcast(y, 6u),
    acc[3] * keep + p * subgroupBroadcast(x, 7u) + q * subgroupBroadcast(y, 7u),
  );
}
