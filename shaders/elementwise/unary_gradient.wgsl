// dx[i] = g[i] · f'(x[i])
//
//   x, g, dx: [n]   four values per thread; the last vec4 may reach into the buffers' slack
//   OP picks f, with the codes of unary.wgsl

alias Elem = f32;
const WG: u32 = 64;
const OP: u32 = 0;

struct Params {
  n: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> g: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<Elem>>;
@group(0) @binding(3) var<uniform> params: Params;

const TWO_OVER_SQRT_PI: f32 = 1.12837916709551257;

fn slope(v: vec4f) -> vec4f {
  switch OP {
    case 16u: { return vec4f(-1.0); }
    case 17u: { return sign(v); }
    case 18u: { return exp(v); }
    case 19u: { return 1.0 / v; }
    case 20u: { return 0.5 * inverseSqrt(v); }
    case 21u: { return -0.5 * inverseSqrt(v) / v; }
    case 22u: { return 2.0 * v; }
    case 23u: { return -1.0 / (v * v); }
    case 24u: { return cos4(v); }
    case 25u: { return -sin4(v); }
    case 26u: { return TWO_OVER_SQRT_PI * exp(max(-v * v, vec4f(-80.0))); }
    case 27u, 28u: { return vec4f(0.0); }
    default: { return activate_slope4(OP, v); }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (4u * i >= params.n) {
    return;
  }
  dx[i] = vec4<Elem>(vec4f(g[i]) * slope(vec4f(x[i])));
}
