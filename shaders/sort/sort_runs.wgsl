// pairs[row, 8t … 8t + 7] = the keys of these columns with the columns, in ascending order, equal keys in that of their columns
//
//   keys: [rows, n]   pairs: [rows, n, 2]   one thread per run of eight: Batcher's network of 19 exchanges in registers
//   A run that reaches beyond the row is filled with pairs that no real one follows; they are not stored.

const WG: u32 = 64;

struct Params {
  rows: u32,
  n: u32,
}

@group(0) @binding(0) var<storage, read> keys: array<u32>;
@group(0) @binding(1) var<storage, read_write> pairs: array<vec2u>;
@group(0) @binding(2) var<uniform> params: Params;

fn load(row: u32, column: u32) -> vec2u {
  if (column >= params.n) {
    return vec2u(0xffffffffu, column);
  }
  return vec2u(keys[row * params.n + column], column);
}

// Puts the smaller pair into a.
fn exchange(a: ptr<function, vec2u>, b: ptr<function, vec2u>) {
  let p = *a;
  let q = *b;
  let swap = q.x < p.x || (q.x == p.x && q.y < p.y);
  *a = select(p, q, swap);
  *b = select(q, p, swap);
}

fn store(row: u32, column: u32, pair: vec2u) {
  if (column < params.n) {
    pairs[row * params.n + column] = pair;
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let id = gid.y * (nwg.x * WG) + gid.x;
  let runs = (params.n + 7u) / 8u;
  if (id >= params.rows * runs) {
    return;
  }
  let row = id / runs;
  let c = 8u * (id - row * runs);
  var p0 = load(row, c);
  var p1 = load(row, c + 1u);
  var p2 = load(row, c + 2u);
  var p3 = load(row, c + 3u);
  var p4 = load(row, c + 4u);
  var p5 = load(row, c + 5u);
  var p6 = load(row, c + 6u);
  var p7 = load(row, c + 7u);
  exchange(&p0, &p1);
  exchange(&p2, &p3);
  exchange(&p4, &p5);
  exchange(&p6, &p7);
  exchange(&p0, &p2);
  exchange(&p1, &p3);
  exchange(&p4, &p6);
  exchange(&p5, &p7);
  exchange(&p1, &p2);
  exchange(&p5, &p6);
  exchange(&p0, &p4);
  exchange(&p1, &p5);
  exchange(&p2, &p6);
  exchange(&p3, &p7);
  exchange(&p2, &p4);
  exchange(&p3, &p5);
  exchange(&p1, &p2);
  exchange(&p3, &p4);
  exchange(&p5, &p6);
  store(row, c, p0);
  store(row, c + 1u, p1);
  store(row, c + 2u, p2);
  store(row, c + 3u, p3);
  store(row, c + 4u, p4);
  store(row, c + 5u, p5);
  store(row, c + 6u, p6);
  store(row, c + 7u, p7);
}
