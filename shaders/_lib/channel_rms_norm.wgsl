// Weight and bias of a channel for images, each one list for all or one for every image. Needs `weight`, `bias`, `params` and the constants
// OWN_WEIGHT, OWN_BIAS (every image has its own) and HAS_BIAS.

fn weight4(image: vec4u, c: u32) -> vec4f {
  if (OWN_WEIGHT) {
    let i = image * params.channels + c;
    return vec4f(f32(weight[i.x]), f32(weight[i.y]), f32(weight[i.z]), f32(weight[i.w]));
  }
  return vec4f(f32(weight[c]));
}

fn scaled4(v: vec4f, image: vec4u, c: u32) -> vec4f {
  let z = v * weight4(image, c);
  if (!HAS_BIAS) {
    return z;
  }
  if (OWN_BIAS) {
    let i = image * params.channels + c;
    return z + vec4f(f32(bias[i.x]), f32(bias[i.y]), f32(bias[i.z]), f32(bias[i.w]));
  }
  return z + f32(bias[c]);
}
