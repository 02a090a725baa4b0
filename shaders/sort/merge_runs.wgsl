// merged[row] = the sorted runs of pairs[row] merged two by two, the first `keep` of each two
//
//   pairs: [rows, n, 2], (key, column) in sorted runs of length `run`   merged: [rows, m, 2]   keep: 2·run, or less for a top-k
//   One thread per PER outputs of one pair of runs. A binary search along its diagonal of the merge path finds where it begins in
//   both runs (Green, McColl, Bader: GPU merge path, 2012); equal keys are taken from the first run, which keeps the sort stable.

const WG: u32 = 64;
const PER: u32 = 8; // outputs of a thread; divides keep

struct Params {
  rows: u32,
  n: u32,
  m: u32,
  run: u32,
  keep: u32,
}

@group(0) @binding(0) var<storage, read> pairs: array<vec2u>;
@group(0) @binding(1) var<storage, read_write> merged: array<vec2u>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  let chunks = (params.m + PER - 1u) / PER;
  if (id >= params.rows * chunks) {
    return;
  }
  let row = id / chunks;
  let out = PER * (id - row * chunks);
  let two = out / params.keep;
  let diagonal = out - two * params.keep;
  let first = min(2u * two * params.run, params.n);
  let length_a = min(params.run, params.n - first);
  let length_b = min(params.run, params.n - first - length_a);
  let a = row * params.n + first;
  let b = a + length_a;
  var low = diagonal - min(diagonal, length_b);
  var high = min(diagonal, length_a);
  while (low < high) {
    let middle = (low + high) / 2u;
    if (pairs[a + middle].x <= pairs[b + diagonal - 1u - middle].x) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  var i = low;
  var j = diagonal - low;
  var head_a = pairs[min(a + i, b - 1u)];
  var head_b = pairs[min(b + j, b + max(length_b, 1u) - 1u)];
  let end = min(PER, min(params.m - out, length_a + length_b - diagonal));
  let target_row = row * params.m + out;
  for (var k = 0u; k < end; k++) {
    let take_a = j >= length_b || (i < length_a && head_a.x <= head_b.x);
    merged[target_row + k] = select(head_b, head_a, take_a);
    i += select(0u, 1u, take_a);
    j += select(1u, 0u, take_a);
    let next = pairs[select(min(b + j, b + max(length_b, 1u) - 1u), min(a + i, b - 1u), take_a)];
    head_a = select(head_a, next, take_a);
    head_b = select(next, head_b, take_a);
  }
}
