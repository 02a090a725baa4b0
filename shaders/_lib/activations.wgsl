// Pointwise functions on vec4f, by code. The codes are those of shaders/elementwise/unary.ts; `code` is always a constant, so the
// compiler keeps one case.

// erf by a rational function of odd degree 13 over degree 8, |x| clamped to 4: 3e-7 absolute.
// Coefficients: Eigen, generic_fast_erf_float (MathFunctionsImpl.h).
fn erf4(v: vec4f) -> vec4f {
  let x = clamp(v, vec4f(-4.0), vec4f(4.0));
  let s = x * x;
  var p = vec4f(-2.72614225801306e-10);
  p = p * s + 2.77068142495902e-08;
  p = p * s - 2.10102402082508e-06;
  p = p * s - 5.69250639462346e-05;
  p = p * s - 7.34990630326855e-04;
  p = p * s - 2.95459980854025e-03;
  p = p * s - 1.60960333262415e-02;
  var q = vec4f(-1.45660718464996e-05);
  q = q * s - 2.13374055278905e-04;
  q = q * s - 1.68282697438203e-03;
  q = q * s - 7.37332916720468e-03;
  q = q * s - 1.42647390514189e-02;
  return x * p / q;
}

// Clamped: exp overflows beyond 88, and the value is 0 or 1 to the last bit long before.
fn sigmoid4(x: vec4f) -> vec4f {
  return 1.0 / (1.0 + exp(clamp(-x, vec4f(-80.0), vec4f(80.0))));
}

// tanh of a large argument is NaN on some drivers.
fn tanh4(x: vec4f) -> vec4f {
  return tanh(clamp(x, vec4f(-20.0), vec4f(20.0)));
}

fn softplus4(x: vec4f) -> vec4f {
  return max(x, vec4f(0.0)) + log(1.0 + exp(-abs(x)));
}

const SQRT_HALF: f32 = 0.70710678118654752;
const SQRT_2_OVER_PI: f32 = 0.79788456080286536;
const INV_SQRT_2PI: f32 = 0.39894228040143268;

fn gelu_tanh_inner(x: vec4f) -> vec4f {
  return tanh4(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x));
}

fn activate4(code: u32, x: vec4f) -> vec4f {
  switch code {
    case 1u: { return max(x, vec4f(0.0)); }
    case 2u: { return x * sigmoid4(x); }
    case 3u: { return 0.5 * x * (1.0 + erf4(x * SQRT_HALF)); }
    case 4u: { return 0.5 * x * (1.0 + gelu_tanh_inner(x)); }
    case 5u: { return x * sigmoid4(1.702 * x); }
    case 6u: { return sigmoid4(x); }
    case 7u: { return tanh4(x); }
    case 8u: { return softplus4(x); }
    default: { return x; }
  }
}

// Derivative of activate4 by x.
fn activate_slope4(code: u32, x: vec4f) -> vec4f {
  switch code {
    case 1u: { return select(vec4f(0.0), vec4f(1.0), x > vec4f(0.0)); }
    case 2u: {
      let s = sigmoid4(x);
      return s * (1.0 + x * (1.0 - s));
    }
    case 3u: {
      let density = INV_SQRT_2PI * exp(max(-0.5 * x * x, vec4f(-80.0)));
      return 0.5 * (1.0 + erf4(x * SQRT_HALF)) + x * density;
    }
    case 4u: {
      let t = gelu_tanh_inner(x);
      let inner = SQRT_2_OVER_PI * (1.0 + 3.0 * 0.044715 * x * x);
      return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner;
    }
    case 5u: {
      let s = sigmoid4(1.702 * x);
      return s * (1.0 + 1.702 * x * (1.0 - s));
    }
    case 6u: {
      let s = sigmoid4(x);
      return s * (1.0 - s);
    }
    case 7u: {
      let t = tanh4(x);
      return 1.0 - t * t;
    }
    case 8u: { return sigmoid4(x); }
    default: { return vec4f(1.0); }
  }
}
