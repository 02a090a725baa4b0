// y[r, c] = f(a[r, c], b[β(r, c)]): a whole matrix with a row, a column or one value
//
//   a, y: [n3, n4], n4 divisible by 4   b is read at strides b3, b4, 0 on a broadcast axis
//   four values per thread, and one division for them

alias Elem = f32;
const WG: u32 = 64;
const OP: u32 = 0;
const B_ROW: bool = false; // b changes along a row

struct Params {
  n: u32,
  n4: u32,
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
  if (B_ROW) {
    at += 4u * i - row * params.n4;
  }
  var vb = vec4f(f32(b[at]));
  if (B_ROW) {
    vb = vec4f(vb.x, f32(b[at + 1u]), f32(b[at + 2u]), f32(b[at + 3u]));
  }
  y[i] = vec4<Elem>(combine4(OP, vec4f(a[i]), vb));
}
