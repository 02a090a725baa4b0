// What the reductions do, by OP, a constant of the shader: 0 sum, 1 sum of squares, 2 product, 3 maximum, 4 minimum.
//
// NaN: max() and min() drop it on some drivers, so extremes also carry the greatest magnitude bits seen, which betray one; the
// result is then that NaN. Sums and products carry NaN by themselves.

const OP_PRODUCT: u32 = 2;
const OP_MAX: u32 = 3;
const OP_MIN: u32 = 4;
const INFINITE_BITS: u32 = 0x7f800000;

fn is_extreme() -> bool {
  return OP >= OP_MAX;
}

// The value to start from: neutral, or for extremes any of the values.
fn neutral(first: f32) -> f32 {
  if (is_extreme()) { return first; }
  return select(0.0, 1.0, OP == OP_PRODUCT);
}

fn term4(v: vec4f) -> vec4f {
  return select(v, v * v, OP == 1u);
}

fn join1(p: f32, q: f32) -> f32 {
  switch OP {
    case OP_PRODUCT: { return p * q; }
    case OP_MAX: { return max(p, q); }
    case OP_MIN: { return min(p, q); }
    default: { return p + q; }
  }
}

fn join4(p: vec4f, q: vec4f) -> vec4f {
  switch OP {
    case OP_PRODUCT: { return p * q; }
    case OP_MAX: { return max(p, q); }
    case OP_MIN: { return min(p, q); }
    default: { return p + q; }
  }
}

fn across(v: vec4f) -> f32 {
  return join1(join1(v.x, v.y), join1(v.z, v.w));
}

fn magnitudes(v: vec4f) -> vec4u {
  return bitcast<vec4u>(v) & vec4u(0x7fffffffu);
}

fn greatest4(v: vec4u) -> u32 {
  return max(max(v.x, v.y), max(v.z, v.w));
}

// The result as it is stored; `magnitude` is the greatest of magnitudes() that went into an extreme.
fn finished(total: f32, magnitude: u32, scale: f32) -> f32 {
  return select(total * scale, bitcast<f32>(magnitude), is_extreme() && magnitude > INFINITE_BITS);
}
