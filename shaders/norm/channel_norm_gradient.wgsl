// dx = rstd · (weight · g′ − means[0, s] − x̂ · means[1, s]) with x̂ = (x − mean) · rstd and g′ = g · activation′(x̂ · weight + bias)
//
//   x, g, dx: [n, channels, inner]   mean, variance: [stats]   means: [2, stats]   weight, bias: [channels]
//   FIXED: the statistics do not depend on x, and the two means are left out
//   one workgroup makes CHUNK values of one channel, a thread four at a time that are WG apart

alias Elem = f32;
const WG: u32 = 64;
const CHUNK: u32 = 1024;
const ACTIVATION: u32 = 0; // code of activate_slope4
const FIXED: bool = false;

struct Params {
  n: u32,
  channels: u32,
  inner: u32,
  weightSize: u32,
  biasSize: u32,
  stats: u32,
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
@group(0) @binding(6) var<storage, read> means: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<Elem>;
@group(0) @binding(8) var<uniform> params: Params;

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
  let s = stat_of(row / params.channels, row % params.channels);
  let start = row * params.inner;
  let first = (group % chunks) * CHUNK;
  let end = min(first + CHUNK, params.inner);
  for (var at = first + lid; at < end; at += 4u * WG) {
    let i = vec4u(at) + vec4u(0u, WG, 2u * WG, 3u * WG);
    let j = start + min(i, vec4u(params.inner - 1u));
    let v = vec4f(f32(x[j.x]), f32(x[j.y]), f32(x[j.z]), f32(x[j.w]));
    let h = (v - channel.mean) * channel.rstd;
    let slope = activate_slope4(ACTIVATION, h * channel.weight + channel.bias);
    var d = channel.weight * slope * vec4f(f32(g[j.x]), f32(g[j.y]), f32(g[j.z]), f32(g[j.w]));
    if (!FIXED) {
      d -= means[s] + h * means[params.stats + s];
    }
    d *= channel.rstd;
    dx[j.x] = Elem(d.x);
    if (i.y < end) { dx[j.y] = Elem(d.y); }
    if (i.z < end) { dx[j.z] = Elem(d.z); }
    if (i.w < end) { dx[j.w] = Elem(d.w); }
  }
}
