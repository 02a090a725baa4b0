// dx = r · (g′ · weight − h · Σ_c g′ · weight · h) with h = x · r and g′ = g · activation′(h · weight + bias)
//
//   x, g, dx: [n, channels, inner]   r: [n, inner]   weight, bias: [channels], or [n, channels]
//   a thread takes four places that are WG apart through all channels, twice; where the length was below the least one, r does not
//   depend on x, and the sum is left out

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
  least: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> g: array<Elem>;
@group(0) @binding(2) var<storage, read> weight: array<Elem>;
@group(0) @binding(3) var<storage, read> bias: array<Elem>;
@group(0) @binding(4) var<storage, read> r: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<Elem>;
@group(0) @binding(6) var<uniform> params: Params;

// h and g′ · weight of four places at a channel.
struct Four {
  h: vec4f,
  d: vec4f,
}

fn load4(j: vec4u, image: vec4u, c: u32, inverse: vec4f) -> Four {
  let h = vec4f(f32(x[j.x]), f32(x[j.y]), f32(x[j.z]), f32(x[j.w])) * inverse;
  let d = vec4f(f32(g[j.x]), f32(g[j.y]), f32(g[j.z]), f32(g[j.w])) * weight4(image, c);
  if (ACTIVATION == 0u) {
    return Four(h, d);
  }
  return Four(h, d * activate_slope4(ACTIVATION, scaled4(h, image, c)));
}

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
  let inverse = vec4f(r[place.x], r[place.y], r[place.z], r[place.w]);
  var along = vec4f(0.0);
  for (var c = 0u; c < params.channels; c++) {
    let four = load4(start + c * params.inner, image, c, inverse);
    along += four.h * four.d;
  }
  along = select(along, vec4f(0.0), inverse * params.least >= vec4f(1.0));
  let live = own < vec4u(places);
  for (var c = 0u; c < params.channels; c++) {
    let j = start + c * params.inner;
    let four = load4(j, image, c, inverse);
    let z = inverse * (four.d - four.h * along);
    dx[j.x] = Elem(z.x);
    if (live.y) { dx[j.y] = Elem(z.y); }
    if (live.z) { dx[j.z] = Elem(z.z); }
    if (live.w) { dx[j.w] = Elem(z.w); }
  }
}
