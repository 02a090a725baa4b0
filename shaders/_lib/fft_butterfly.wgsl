// One butterfly of a Fourier transform. Reads x, y, circle, params, RADIX, IS_FIRST, V and Elem of the kernel.

// A complex value, or four of them.
struct Complex {
  re: V,
  im: V,
}

// Value `at` of x, turned by e^(±2πi·turn/n).
fn turned(at: u32, plane: u32, turn: u32) -> Complex {
  let re = V(x[at]);
  let im = V(x[at + plane]);
  if (IS_FIRST || turn == 0u) {
    return Complex(re, im);
  }
  let w = vec2f(circle[turn].x, params.sign * circle[turn].y);
  return Complex(re * w.x - im * w.y, re * w.y + im * w.x);
}

fn put(at: u32, plane: u32, re: V, im: V) {
  y[at] = Stored(params.scale * re);
  y[at + plane] = Stored(params.scale * im);
}

// Puts m + i·d and m − i·d.
fn put_pair(low: u32, high: u32, plane: u32, m: Complex, d: Complex) {
  put(low, plane, m.re - d.im, m.im + d.re);
  put(high, plane, m.re + d.im, m.im - d.re);
}

fn plus(a: Complex, b: Complex) -> Complex {
  return Complex(a.re + b.re, a.im + b.im);
}

fn minus(a: Complex, b: Complex) -> Complex {
  return Complex(a.re - b.re, a.im - b.im);
}

fn times(p: f32, a: Complex) -> Complex {
  return Complex(p * a.re, p * a.im);
}

// The butterfly that starts at x[start], whose values lie `step` apart and are turned by multiples of `turn`, into y[to] and every `stride`.
fn butterfly(start: u32, step: u32, turn: u32, to: u32, stride: u32, plane: u32) {
  let a = turned(start, plane, 0u);
  let b = turned(start + step, plane, turn);
  if (RADIX == 2u) {
    let sum = plus(a, b);
    let difference = minus(a, b);
    put(to, plane, sum.re, sum.im);
    put(to + stride, plane, difference.re, difference.im);
    return;
  }
  let c = turned(start + 2u * step, plane, 2u * turn);
  if (RADIX == 3u) {
    let sum = plus(b, c);
    put(to, plane, a.re + sum.re, a.im + sum.im);
    let turn90 = times(params.sign * 0.8660254037844386, minus(b, c));
    put_pair(to + stride, to + 2u * stride, plane, plus(a, times(-0.5, sum)), turn90);
    return;
  }
  let d = turned(start + 3u * step, plane, 3u * turn);
  if (RADIX == 4u) {
    let even = plus(a, c);
    let odd = plus(b, d);
    put(to, plane, even.re + odd.re, even.im + odd.im);
    put(to + 2u * stride, plane, even.re - odd.re, even.im - odd.im);
    let turn90 = times(params.sign, minus(b, d));
    put_pair(to + stride, to + 3u * stride, plane, minus(a, c), turn90);
    return;
  }
  let e = turned(start + 4u * step, plane, 4u * turn);
  let near = plus(b, e);
  let far = plus(c, d);
  put(to, plane, a.re + near.re + far.re, a.im + near.im + far.im);
  // Cosines and sines of a fifth and two fifths of a turn.
  let c1 = 0.30901699437494745;
  let c2 = -0.8090169943749475;
  let s1 = params.sign * 0.9510565162951535;
  let s2 = params.sign * 0.5877852522924731;
  let across = minus(b, e);
  let beside = minus(c, d);
  let once = plus(times(s1, across), times(s2, beside));
  let twice = minus(times(s2, across), times(s1, beside));
  put_pair(to + stride, to + 4u * stride, plane, plus(a, plus(times(c1, near), times(c2, far))), once);
  put_pair(to + 2u * stride, to + 3u * stride, plane, plus(a, plus(times(c2, near), times(c1, far))), twice);
}
