// sine and cosine on vec4f to 1e-7 absolute for |x| up to 1e5, and within [-1, 1] everywhere. The built-in ones may be off by
// 2^-11 inside [-π, π] and by anything outside (Vulkan, "Precision and Operation of SPIR-V Instructions").

const TWO_OVER_PI: f32 = 0.63661977236758134;
// π/2 in three parts; k times the first is exact for k < 2^16, so nothing is lost where it cancels.
const HALF_PI_HIGH: f32 = 1.5703125;
const HALF_PI_MIDDLE: f32 = 4.837512969970703125e-4;
const HALF_PI_LOW: f32 = 7.54978995489188216e-8;
const QUARTER_PI: f32 = 0.78539816339744831;

// sin(x + quarters·π/2). Coefficients: Cephes, sinf.c and cosf.c.
fn sin_shifted(x: vec4f, quarters: i32) -> vec4f {
  let k = round(x * TWO_OVER_PI);
  var r = fma(-k, vec4f(HALF_PI_HIGH), x);
  r = fma(-k, vec4f(HALF_PI_MIDDLE), r);
  r = fma(-k, vec4f(HALF_PI_LOW), r);
  r = clamp(r, vec4f(-QUARTER_PI), vec4f(QUARTER_PI));
  let z = r * r;
  var s = z * -1.9515295891e-4 + 8.3321608736e-3;
  s = s * z - 1.6666654611e-1;
  s = s * z * r + r;
  var c = z * 2.443315711809948e-5 - 1.388731625493765e-3;
  c = c * z + 4.166664568298827e-2;
  c = c * z * z - 0.5 * z + 1.0;
  let quadrant = vec4i(k) + quarters;
  let size = select(s, c, (quadrant & vec4i(1)) != vec4i(0));
  return select(size, -size, (quadrant & vec4i(2)) != vec4i(0));
}

fn sin4(x: vec4f) -> vec4f {
  return sin_shifted(x, 0);
}

fn cos4(x: vec4f) -> vec4f {
  return sin_shifted(x, 1);
}
