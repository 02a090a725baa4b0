// Functions of two values on vec4f, by code. The codes are those of shaders/elementwise/binary.ts; `code` is always a constant.

fn truth4(v: vec4<bool>) -> vec4f {
  return select(vec4f(0.0), vec4f(1.0), v);
}

fn combine4(code: u32, a: vec4f, b: vec4f) -> vec4f {
  switch code {
    case 0u: { return a + b; }
    case 1u: { return a - b; }
    case 2u: { return a * b; }
    case 3u: { return a / b; }
    case 4u: { return max(a, b); }
    case 5u: { return min(a, b); }
    case 6u: { return truth4(a > b); }
    case 7u: { return truth4(a >= b); }
    case 8u: { return truth4(a == b); }
    // a ≥ 0 only: pow of a negative base is NaN on some drivers even for whole exponents.
    default: { return pow(a, b); }
  }
}
