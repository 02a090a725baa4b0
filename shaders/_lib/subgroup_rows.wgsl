// Values held one per lane, as every lane needs them: eight rows of a are one load, each row is broadcast.

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
