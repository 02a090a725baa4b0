// sumG[n, c] = Σ_i g′   sumGX[n, c] = Σ_i g′ · x̂   with x̂ = (x − mean) · rstd and g′ = g · activation′(x̂ · weight + bias)
//
//   x, g: [n, channels, inner]   mean, variance: [stats]   weight, bias: [channels]   sumG, sumGX: [n, channels]
//   one workgroup per image and channel

alias Elem = f32;
const WG: u32 = 64;
const ACTIVATION: u32 = 0; // code of activate_slope4

struct Params {
  n: u32,
  channels: u32,
  inner: u32,
  weightSize: u32,
  biasSize: u32,
  statsPerImage: u32,
  channelsPerStat: u32,
  eps: f32,
  hasWeight: u32,
  hasBias: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> g: array<Elem>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> variance: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<Elem>;
@group(0) @binding(5) var<storage, read> bias: array<Elem>;
@group(0) @binding(6) var<storage, read_write> sumG: array<f32>;
@group(0) @binding(7) var<storage, read_write> sumGX: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

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
  let channel = channel_of(row / params.channels, row % params.channels);
  let start = row * params.inner;
  var a = 0.0;
  var b = 0.0;
  for (var i = lid; i < params.inner; i += 4u * WG) {
    let four = vec4u(i) + vec4u(0u, WG, 2u * WG, 3u * WG);
    let j = start + min(four, vec4u(params.inner - 1u));
    let v = vec4f(f32(x[j.x]), f32(x[j.y]), f32(x[j.z]), f32(x[j.w]));
    let h = (v - channel.mean) * channel.rstd;
    let slope = activate_slope4(ACTIVATION, h * channel.weight + channel.bias);
    let k = vec4f(f32(g[j.x]), f32(g[j.y]), f32(g[j.z]), f32(g[j.w])) * slope;
    let inside = select(vec4f(0.0), k, four < vec4u(params.inner));
    a += dot(inside, vec4f(1.0));
    b += dot(inside, h);
  }
  let total = workgroup_sum(a, lid);
  let along = workgroup_sum(b, lid);
  if (lid == 0u) {
    sumG[row] = total;
    sumGX[row] = along;
  }
}
