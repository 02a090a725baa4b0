// Reductions over the WG threads of a workgroup, by a tree in a fixed order. WG is a power of two and is a constant of the shader.
// Every thread must call them, and every thread gets the result.

var<workgroup> reduce_scratch: array<f32, WG>;

fn workgroup_sum(x: f32, lid: u32) -> f32 {
  reduce_scratch[lid] = x;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (lid < half) { reduce_scratch[lid] += reduce_scratch[lid + half]; }
    workgroupBarrier();
  }
  let total = reduce_scratch[0];
  workgroupBarrier(); // the scratch is free for the next call
  return total;
}

fn workgroup_max(x: f32, lid: u32) -> f32 {
  reduce_scratch[lid] = x;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (lid < half) { reduce_scratch[lid] = max(reduce_scratch[lid], reduce_scratch[lid + half]); }
    workgroupBarrier();
  }
  let greatest = reduce_scratch[0];
  workgroupBarrier();
  return greatest;
}
