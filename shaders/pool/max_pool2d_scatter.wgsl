// dx[p, index[p, j]] += g[p, j]
//
//   g, index: [planes, count]   dx: [planes, size]   one thread per plane adds in the order of j: no two threads write one place, and
//   the sums are the same every time. For few windows of many values, where looking at every value costs more.

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  planes: u32,
  count: u32,
  size: u32,
}

@group(0) @binding(0) var<storage, read> g: array<Elem>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let plane = gid.y * (nwg.x * WG) + gid.x;
  if (plane >= params.planes) {
    return;
  }
  for (var j = 0u; j < params.count; j++) {
    let at = plane * params.count + j;
    let to = plane * params.size + index[at];
    dx[to] = Elem(f32(dx[to]) + f32(g[at]));
  }
}
