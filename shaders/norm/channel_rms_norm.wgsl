// y = activation(x · r · weight + bias) with r[n, i] = 1 / max(√(Σ_c x²), least), the length of the channels at one place
//
//   x, y: [n, channels, inner]   r: [n, inner]   weight, bias: [channels], or [n, channels] where every image has its own
//   a thread takes four places that are WG apart through all channels, twice: the second time they are in the cache
//   numerics: f32 sums over the channels in order

alias Elem = f32;
const WG: u32 = 64;
const ACTIVATION: u32 = 0; // code of activate4
const HAS_BIAS: bool = true;
const OWN_WEIGHT: bool = false; // every image has its own
const OWN_BIAS: bool = false;

struct Params {
  n: u32,
  channels: u32,
  inner: u32,
  least: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> weight: array<Elem>;
@group(0) @binding(2) var<storage, read> bias: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<storage, read_write> r: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lid: u32,
) {
  let places = params.n * params.inner;
  let own = (wid.y * nwg.x + wid.x) * (4u * WG) + lid + vec4u(0u, WG, 2u * WG, 3u * WG);
  if (own.x >= places) {
    return;
  }
  let place = min(own, vec4u(places - 1u));
  let image = place / params.inner;
  let start = image * (params.channels * params.inner) + place % params.inner;
  var squares = vec4f(0.0);
  for (var c = 0u; c < params.channels; c++) {
    let j = start + c * params.inner;
    let v = vec4f(f32(x[j.x]), f32(x[j.y]), f32(x[j.z]), f32(x[j.w]));
    squares += v * v;
  }
  let inverse = 1.0 / max(sqrt(squares), vec4f(params.least));
  let live = own < vec4u(places);
  for (var c = 0u; c < params.channels; c++) {
    let j = start + c * params.inner;
    let v = vec4f(f32(x[j.x]), f32(x[j.y]), f32(x[j.z]), f32(x[j.w])) * inverse;
    let z = activate4(ACTIVATION, scaled4(v, image, c));
    y[j.x] = Elem(z.x);
    if (live.y) { y[j.y] = Elem(z.y); }
    if (live.z) { y[j.z] = Elem(z.z); }
    if (live.w) { y[j.w] = Elem(z.w); }
  }
  r[own.x] = inverse.x;
  if (live.y) { r[own.y] = inverse.y; }
  if (live.z) { r[own.z] = inverse.z; }
  if (live.w) { r[own.w] = inverse.w; }
}
