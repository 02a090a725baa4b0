// y = activation((x − mean[s]) / √(variance[s] + eps) · weight[c] + bias[c])
//
//   x, y: [n, channels, inner]   mean, variance: [stats]   weight, bias: [channels]   s: the statistics of image and channel
//   one thread makes four values of one channel, a quarter of the channel apart

alias Elem = f32;
const WG: u32 = 64;
const ACTIVATION: u32 = 0; // code of activate4

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
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> variance: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<Elem>;
@group(0) @binding(4) var<storage, read> bias: array<Elem>;
@group(0) @binding(5) var<storage, read_write> y: array<Elem>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let quarter = (params.inner + 3u) / 4u;
  let t = gid.y * (nwg.x * WG) + gid.x;
  if (t >= params.n * params.channels * quarter) {
    return;
  }
  let row = t / quarter;
  let channel = channel_of(row / params.channels, row % params.channels);
  let start = row * params.inner;
  let i = vec4u(t % quarter) + vec4u(0u, quarter, 2u * quarter, 3u * quarter);
  let j = start + min(i, vec4u(params.inner - 1u));
  let v = vec4f(f32(x[j.x]), f32(x[j.y]), f32(x[j.z]), f32(x[j.w]));
  let z = activate4(ACTIVATION, (v - channel.mean) * (channel.rstd * channel.weight) + channel.bias);
  y[j.x] = Elem(z.x);
  if (i.y < params.inner) { y[j.y] = Elem(z.y); }
  if (i.z < params.inner) { y[j.z] = Elem(z.z); }
  if (i.w < params.inner) { y[j.w] = Elem(z.w); }
}
