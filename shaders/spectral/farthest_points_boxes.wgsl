// farthest-point sampling: count times, the point whose nearest picked point is farthest, the earliest in order of equal ones
//
//   points: [n, 4·D4] in blocks of PER that lie together   order: [n], what a tie is decided by   boxes: [blocks, 2, 4·D4]: least and greatest
//   nearest: [n], squared distances to what was picked; −1 for what was   picks: [m], of which first … first + count are written
//   peaks, tops: [blocks], the greatest of nearest in each block, and where
//   one workgroup for all picks: a thread owns every WG-th block and looks into it only where its box is closer to the pick than its
//   greatest distance; most boxes are not. Then a reduction in two turns.
//   numerics: the bound of a box is taken a thousandth smaller than it is, so that rounding never hides a point

const WG: u32 = 64;
const SIDE: u32 = 8; // threads of the second turn, each of which looks at as many
const PER: u32 = 16; // points of a block
const D4: u32 = 2;
const_assert SIDE * SIDE == WG;

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

// The best of a block after `pick` was taken, or as it is where there is no such point.
fn looked_into(block: u32, pick: u32) -> Best {
  var best = Best(-3.4e38, 0xffffffffu, 0u);
  let taken = min(pick, params.n - 1u);
  for (var i = 0u; i < PER; i++) {
    let at = block * PER + i;
    var value = nearest[at];
    if (pick < params.n) {
      var square = 0.0;
      for (var q = 0u; q < D4; q++) {
        let apart = points[at * D4 + q] - points[taken * D4 + q];
        square += dot(apart, apart);
      }
      value = select(min(value, square), -1.0, at == pick);
      nearest[at] = value;
    }
    best = better(best, Best(value, order[at], at));
  }
  peaks[block] = best.value;
  tops[block] = best.at;
  return best;
}

fn bound(block: u32, pick: u32) -> f32 {
  var square = 0.0;
  for (var q = 0u; q < D4; q++) {
    let x = points[pick * D4 + q];
    let outside = max(max(boxes[block * 2u * D4 + q] - x, x - boxes[(block * 2u + 1u) * D4 + q]), vec4f(0.0));
    square += dot(outside, outside);
  }
  return 0.999 * square;
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
  var own = Best(-3.4e38, 0xffffffffu, 0u);
  for (var block = lane; block < params.blocks; block += WG) {
    own = better(own, looked_into(block, 0xffffffffu));
  }
  for (var step = 0u; step < params.count; step++) {
    shared_best[lane] = own;
    workgroupBarrier();
    if (lane < SIDE) {
      var some = shared_best[lane * SIDE];
      for (var i = 1u; i < SIDE; i++) {
        some = better(some, shared_best[lane * SIDE + i]);
      }
      shared_best[lane * SIDE] = some;
    }
    workgroupBarrier();
    var all = shared_best[0];
    for (var i = 1u; i < SIDE; i++) {
      all = better(all, shared_best[i * SIDE]);
    }
    if (lane == 0u) {
      picks[params.first + step] = all.order;
    }
    own = Best(-3.4e38, 0xffffffffu, 0u);
    for (var block = lane; block < params.blocks; block += WG) {
      var best = Best(peaks[block], 0u, tops[block]);
      if (bound(block, all.at) < best.value || block == all.at / PER) {
        best = looked_into(block, all.at);
      } else if (best.value >= own.value) {
        best.order = order[best.at];
      } else {
        best.order = 0xffffffffu;
      }
      own = better(own, best);
    }
    workgroupBarrier();
  }
}
