// dWeight[c] = Σ_n sumGX[n, c]   dBias[c] = Σ_n sumG[n, c]
// means[0, s] = Σ weight[c] · sumG[n, c] / count   means[1, s] the same of sumGX   over the n and c that share statistics s
//
//   sumG, sumGX: [n, channels]   weight, dWeight, dBias: [channels]   means: [2, stats]   thread i makes channel i and statistics i

alias Elem = f32;
const WG: u32 = 64;

struct Params {
  n: u32,
  channels: u32,
  inner: u32,
  stats: u32,
  statsPerImage: u32,
  channelsPerStat: u32,
  hasWeight: u32,
}

@group(0) @binding(0) var<storage, read> sumG: array<f32>;
@group(0) @binding(1) var<storage, read> sumGX: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<Elem>;
@group(0) @binding(3) var<storage, read_write> dWeight: array<Elem>;
@group(0) @binding(4) var<storage, read_write> dBias: array<Elem>;
@group(0) @binding(5) var<storage, read_write> means: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = gid.y * (nwg.x * WG) + gid.x;
  if (i < params.channels) {
    var along = 0.0;
    var total = 0.0;
    for (var image = 0u; image < params.n; image++) {
      along += sumGX[image * params.channels + i];
      total += sumG[image * params.channels + i];
    }
    dWeight[i] = Elem(along);
    dBias[i] = Elem(total);
  }
  if (i < params.stats) {
    let per_image = params.statsPerImage != 0u;
    let first = select(0u, i / max(params.statsPerImage, 1u), per_image);
    let images = select(params.n, 1u, per_image);
    let group = select(i, i % max(params.statsPerImage, 1u), per_image);
    var along = 0.0;
    var total = 0.0;
    for (var image = first; image < first + images; image++) {
      for (var k = 0u; k < params.channelsPerStat; k++) {
        let c = group * params.channelsPerStat + k;
        let w = select(1.0, f32(weight[c]), params.hasWeight != 0u);
        along += w * sumGX[image * params.channels + c];
        total += w * sumG[image * params.channels + c];
      }
    }
    let count = f32(images) * f32(params.channelsPerStat) * f32(params.inner);
    means[i] = total / count;
    means[params.stats + i] = along / count;
  }
}
