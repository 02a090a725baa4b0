// y[o, p] = scale · reduce over part p of row o of x
//
//   x: [outer, axis]   y: [outer, parts]   one workgroup per part: axis / parts values, rounded up
//   numerics: each thread reduces whole vec4s into four partial results, then a tree; the same order in every run

alias Elem = f32;
const WG: u32 = 64; // a power of two
const OP: u32 = 0;

struct Params {
  outer: u32,
  axis: u32,
  parts: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> totals: array<f32, WG>;
var<workgroup> greatest: array<u32, WG>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = wid.y * nwg.x + wid.x;
  if (id >= params.outer * params.parts) {
    return;
  }
  let row = id / params.parts;
  let span = (params.axis + params.parts - 1u) / params.parts;
  let part = id - row * params.parts;
  let row_end = (row + 1u) * params.axis;
  let start = min(row * params.axis + part * span, row_end);
  let end = min(start + span, row_end);
  let first = min(start, row_end - 1u); // of an empty part: any value of the row
  var acc = vec4f(neutral(f32(x[first / 4u][first % 4u])));
  var magnitude = vec4u(0u);
  // The vec4s that the part shares with its neighbours: the first and the last one.
  for (var edge = lane; edge < 2u; edge += WG) {
    let j = select(end / 4u, start / 4u, edge == 0u);
    let at = vec4u(4u * j) + vec4u(0u, 1u, 2u, 3u);
    let inside = (at >= vec4u(start)) & (at < vec4u(end));
    if (any(inside) && !all(inside) && (edge == 0u || j > start / 4u)) {
      let v = vec4f(x[j]);
      acc = select(acc, join4(acc, term4(v)), inside);
      magnitude = select(magnitude, magnitudes(v), inside);
    }
  }
  for (var j = (start + 3u) / 4u + lane; j < end / 4u; j += WG) {
    let v = vec4f(x[j]);
    acc = join4(acc, term4(v));
    if (is_extreme()) {
      magnitude = max(magnitude, magnitudes(v));
    }
  }
  totals[lane] = across(acc);
  greatest[lane] = greatest4(magnitude);
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      totals[lane] = join1(totals[lane], totals[lane + half]);
      greatest[lane] = max(greatest[lane], greatest[lane + half]);
    }
    workgroupBarrier();
  }
  if (lane == 0u) {
    y[id] = Elem(finished(totals[0], greatest[0], params.scale));
  }
}
