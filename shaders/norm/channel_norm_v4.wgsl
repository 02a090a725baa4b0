// y = activation((x − mean[s]) / √(variance[s] + eps) · weight[c] + bias[c])
//
//   x, y: [n, channels, inner]   mean, variance: [stats]   weight, bias: [channels]   s: the statistics of image and channel
//   inner is a multiple of 4: one workgroup makes CHUNK values of one channel, a thread four neighbours at a time

alias Elem = f32;
const WG: u32 = 64;
const CHUNK: u32 = 1024;
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

@group(0) @binding(0) var<storage, read> x: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> variance: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<Elem>;
@group(0) @binding(4) var<storage, read> bias: array<Elem>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<Elem>>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lid: u32,
) {
  let chunks = (params.inner + CHUNK - 1u) / CHUNK;
  let group = wid.y * nwg.x + wid.x;
  let row = group / chunks;
  if (row >= params.n * params.channels) {
    return;
  }
  let channel = channel_of(row / params.channels, row % params.channels);
  let quads = params.inner / 4u;
  let first = (group % chunks) * (CHUNK / 4u);
  let end = min(first + CHUNK / 4u, quads);
  let scale = channel.rstd * channel.weight;
  for (var i = first + lid; i < end; i += WG) {
    let at = row * quads + i;
    y[at] = vec4<Elem>(activate4(ACTIVATION, (vec4f(x[at]) - channel.mean) * scale + channel.bias));
  }
}
