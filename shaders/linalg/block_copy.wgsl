// y[b, i, j] of a block = x[b, i, j] of a block: cuts blocks out of matrices, puts them in, transposes them
//
//   x, y: batches of matrices in any row and column stride; element (b, i, j) of x is at
//   xStart + b·xBatch + i·xRow + j·xCol, likewise y   one thread per element, neighbours on neighbouring j

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  batch: u32,
  rows: u32,
  cols: u32,
  xStart: u32,
  xBatch: u32,
  xRow: u32,
  xCol: u32,
  yStart: u32,
  yBatch: u32,
  yRow: u32,
  yCol: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  if (id >= params.batch * params.rows * params.cols) {
    return;
  }
  let j = id % params.cols;
  let i = (id / params.cols) % params.rows;
  let b = id / (params.cols * params.rows);
  y[params.yStart + b * params.yBatch + i * params.yRow + j * params.yCol] =
    x[params.xStart + b * params.xBatch + i * params.xRow + j * params.xCol];
}
