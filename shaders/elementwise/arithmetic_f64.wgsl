// y[i] = f(a[α(i)], b[β(i)]) in double precision, with α, β the offsets of index i under broadcasting
//
//   y: [n], read as [·, n1, n2, n3, n4]; a and b are read at strides a0…a4 and b0…b4, 0 on a broadcast axis
//   one value per thread; OP picks f (see binary.ts)

const WG: u32 = 64;
const OP: u32 = 0;
const BROADCASTS: bool = true; // without broadcasting there is nothing to divide

struct Params {
  n: u32,
  n1: u32,
  n2: u32,
  n3: u32,
  n4: u32,
  a0: u32,
  a1: u32,
  a2: u32,
  a3: u32,
  a4: u32,
  b0: u32,
  b1: u32,
  b2: u32,
  b3: u32,
  b4: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f64>;
@group(0) @binding(1) var<storage, read> b: array<f64>;
@group(0) @binding(2) var<storage, read_write> y: array<f64>;
@group(0) @binding(3) var<uniform> params: Params;

fn combine(a: f64, b: f64) -> f64 {
  switch OP {
    case 0u: { return a + b; }
    case 1u: { return a - b; }
    case 2u: { return a * b; }
    default: { return a / b; }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (i >= params.n) {
    return;
  }
  if (!BROADCASTS) {
    y[i] = combine(a[i], b[i]);
    return;
  }
  let i4 = i % params.n4;
  let r3 = i / params.n4;
  let i3 = r3 % params.n3;
  let r2 = r3 / params.n3;
  let i2 = r2 % params.n2;
  let r1 = r2 / params.n2;
  let i1 = r1 % params.n1;
  let i0 = r1 / params.n1;
  let at_a = i0 * params.a0 + i1 * params.a1 + i2 * params.a2 + i3 * params.a3 + i4 * params.a4;
  let at_b = i0 * params.b0 + i1 * params.b1 + i2 * params.b2 + i3 * params.b3 + i4 * params.b4;
  y[i] = combine(a[at_a], b[at_b]);
}
