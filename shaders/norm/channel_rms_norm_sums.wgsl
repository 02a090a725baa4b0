// dWeight[n, c] = Σ_i g′ · h   dBias[n, c] = Σ_i g′   with h = x · r and g′ = g · activation′(h · weight + bias)
//
//   x, g: [n, channels, inner]   r: [n, inner]   weight, bias: [channels], or [n, channels]
//   one workgroup per image and channel

alias Elem = f32;
const WG: u32 = 64;
const ACTIVATION: u32 = 0; // code of activate_slope4
const HAS_BIAS: bool = true;
const OWN_WEIGHT: bool = false; // every image has its own
const OWN_BIAS: bool = false;

struct Params {
  n: u32,
  channels: u32,
  inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> g: array<Elem>;
@group(0) @binding(2) var<storage, read> weight: array<Elem>;
@group(0) @binding(3) var<storage, read> bias: array<Elem>;
@group(0) @binding(4) var<storage, read> r: array<f32>;
@group(0) @binding(5) var<storage, read_write> dWeight: array<f32>;
@group(0) @binding(6) var<storage, read_write> dBias: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lid: u32,
) {
  let row = wid.y * nwg.x + wid.x;
  if (row >= params.n * params.channels) {
    return;
  }
  let image = row / params.channels;
  let c = row % params.channels;
  var a = 0.0;
  var b = 0.0;
  for (var i = lid; i < params.inner; i += 4u * WG) {
    let four = vec4u(i) + vec4u(0u, WG, 2u * WG, 3u * WG);
    let at = min(four, vec4u(params.inner - 1u));
    let j = row * params.inner + at;
    let k = image * params.inner + at;
    let v = vec4f(f32(x[j.x]), f32(x[j.y]), f32(x[j.z]), f32(x[j.w]));
    let h = v * vec4f(r[k.x], r[k.y], r[k.z], r[k.w]);
    var d = vec4f(f32(g[j.x]), f32(g[j.y]), f32(g[j.z]), f32(g[j.w]));
    if (ACTIVATION != 0u) {
      d *= activate_slope4(ACTIVATION, scaled4(h, vec4u(image), c));
    }
    let inside = select(vec4f(0.0), d, four < vec4u(params.inner));
    a += dot(inside, h);
    b += dot(inside, vec4f(1.0));
  }
  let along = workgroup_sum(a, lid);
  let total = workgroup_sum(b, lid);
  if (lid == 0u) {
    dWeight[row] = along;
    dBias[row] = total;
  }
}
