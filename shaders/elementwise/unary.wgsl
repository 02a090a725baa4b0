// y[i] = f(x[i])
//
//   x, y: [n]   four values per thread; the last vec4 may reach into the buffers' slack
//   OP picks f: 0 to 8 are the activations of the library, from 16 on the rest

alias Elem = f32;
const WG: u32 = 64;
const OP: u32 = 0;

struct Params {
  n: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(2) var<uniform> params: Params;

fn apply(v: vec4f) -> vec4f {
  switch OP {
    case 16u: { return -v; }
    case 17u: { return abs(v); }
    case 18u: { return exp(v); }
    case 19u: { return log(v); }
    case 20u: { return sqrt(v); }
    case 21u: { return inverseSqrt(v); }
    case 22u: { return v * v; }
    case 23u: { return 1.0 / v; }
    case 24u: { return sin4(v); }
    case 25u: { return cos4(v); }
    case 26u: { return erf4(v); }
    case 27u: { return sign(v); }
    case 28u: { return floor(v); }
    default: { return activate4(OP, v); }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (4u * i >= params.n) {
    return;
  }
  y[i] = vec4<Elem>(apply(vec4f(x[i])));
}
