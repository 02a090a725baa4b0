// farthest-point sampling: count times, the point whose nearest picked point is farthest, the earliest in order of equal ones
//
//   points: [n, 4·D4] in blocks of PER   order: [n], what a tie is decided by   boxes: not used
//   nearest: [n], squared distances to what was picked; −1 for what was   picks: [m], of which first … first + count are written
//   peaks, tops: [blocks], the greatest of nearest in each block, and where
//   one workgroup, every point at every pick

const WG: u32 = 64;
const PER: u32 = 16; // points of a block
const D4: u32 = 2;

struct Params {
  n: u32,
  blocks: u32,
  m: u32,
  first: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read> points: array<vec4f>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> boxes: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> nearest: array<f32>;
@group(0) @binding(4) var<storage, read_write> picks: array<u32>;
@group(0) @binding(5) var<storage, read_write> peaks: array<f32>;
@group(0) @binding(6) var<storage, read_write> tops: array<u32>;
@group(0) @binding(7) var<uniform> params: Params;

struct Best {
  value: f32,
  order: u32,
  at: u32,
}

var<workgroup> shared_best: array<Best, WG>;

fn better(a: Best, b: Best) -> Best {
  if (b.value > a.value || (b.value == a.value && b.order < a.order)) {
    return b;
  }
  return a;
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
  for (var step = 0u; step < params.count; step++) {
    var own = Best(-3.4e38, 0xffffffffu, 0u);
    for (var block = lane; block < params.blocks; block += WG) {
      for (var at = block * PER; at < (block + 1u) * PER; at++) {
        own = better(own, Best(nearest[at], order[at], at));
      }
    }
    shared_best[lane] = own;
    workgroupBarrier();
    var all = shared_best[0];
    for (var i = 1u; i < WG; i++) {
      all = better(all, shared_best[i]);
    }
    workgroupBarrier();
    if (lane == 0u) {
      picks[params.first + step] = all.order;
    }
    for (var block = lane; block < params.blocks; block += WG) {
      for (var at = block * PER; at < (block + 1u) * PER; at++) {
        var square = 0.0;
        for (var q = 0u; q < D4; q++) {
          let apart = points[at * D4 + q] - points[all.at * D4 + q];
          square += dot(apart, apart);
        }
        nearest[at] = select(min(nearest[at], square), -1.0, at == all.at);
      }
    }
  }
  for (var block = lane; block < params.blocks; block += WG) {
    var best = Best(-3.4e38, 0xffffffffu, 0u);
    for (var at = block * PER; at < (block + 1u) * PER; at++) {
      best = better(best, Best(nearest[at], order[at], at));
    }
    peaks[block] = best.value;
    tops[block] = best.at;
  }
}
