// starts[row, d] = how many keys of pairs[row] are below d, by binary search
//
//   pairs: [rows, n, 2], (key, column) in ascending order   starts: [rows, ends]   one thread per start

const WG: u32 = 64;

struct Params {
  rows: u32,
  n: u32,
  ends: u32,
}

@group(0) @binding(0) var<storage, read> pairs: array<vec2u>;
@group(0) @binding(1) var<storage, read_write> starts: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.rows * params.ends) {
    return;
  }
  let row = id / params.ends;
  let d = id - row * params.ends;
  var low = 0u;
  var high = params.n;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (pairs[row * params.n + middle].x < d) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  starts[id] = low;
}
