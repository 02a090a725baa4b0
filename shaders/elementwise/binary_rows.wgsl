// y[r, c] = f(a[r, c], b[β(r, c)]): a whole tensor with one that repeats on some axes
//
//   a, y: [·, n1, n2, n3, n4], n4 divisible by 4   b is read at strides b0…b4, 0 on a broadcast axis
//   four values per thread, and one division for them, or four where there are more axes than two (DEEP)

alias Elem = f32;
const WG: u32 = 64;
const OP: u32 = 0;
const B_ROW: bool = false; // b changes along a row
const DEEP: bool = false; // more axes than two

struct Params {
  n: u32,
  n1: u32,
  n2: u32,
  n3: u32,
  n4: u32,
  b0: u32,
  b1: u32,
  b2: u32,
  b3: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> b: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (i >= params.n / 4u) {
    return;
  }
  let row = 4u * i / params.n4;
  var at = row * params.b3;
  if (DEEP) {
    let r2 = row / params.n3;
    let r1 = r2 / params.n2;
    let i0 = r1 / params.n1;
    at = (row - r2 * params.n3) * params.b3 + (r2 - r1 * params.n2) * params.b2;
    at += (r1 - i0 * params.n1) * params.b1 + i0 * params.b0;
  }
  if (B_ROW) {
    at += 4u * i - row * params.n4;
  }
  var vb = vec4f(f32(b[at]));
  if (B_ROW) {
    vb = vec4f(vb.x, f32(b[at + 1u]), f32(b[at + 2u]), f32(b[at + 3u]));
  }
  y[i] = vec4<Elem>(combine4(OP, vec4f(a[i]), vb));
}
