// Finishes w of the last reflector and makes the column that the next one clears (one step of LAPACK's latrd):
//   w = y - sum over l of (V[l]·(W[l]ᵀv) + W[l]·(V[l]ᵀv)) - ½·(vᵀ·y')·v,  y' the difference before the last term,  v = V[step - 1]
//   c = a[step] - sum over l < step of (V[l]·W[l][step] + W[l]·V[l][step])
//
//   a: [m, m] symmetric   y: [m] = a·v   dots: [2, width] = V·v and W·v   panel: [2, width, m], V and then W
//   column: [m] = c below the diagonal, else 0   squares: [parts], of PART values of the column each   diagonal[at] = c[step]
//   one thread per part

const WG: u32 = 64;
const PART: u32 = 256;

struct Params {
  m: u32,
  width: u32,
  step: u32,
  at: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> dots: array<f32>;
@group(0) @binding(3) var<storage, read_write> panel: array<f32>;
@group(0) @binding(4) var<storage, read_write> column: array<f32>;
@group(0) @binding(5) var<storage, read_write> squares: array<f32>;
@group(0) @binding(6) var<storage, read_write> diagonal: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

// W[step - 1][i], where vᵀ·y' is known
fn finished(i: u32, product: f32) -> f32 {
  let below = params.width * params.m;
  let before = params.step - 1u;
  var w = y[i] - 0.5 * product * panel[before * params.m + i];
  for (var l = 0u; l < before; l++) {
    let at = l * params.m + i;
    w -= panel[at] * dots[params.width + l] + panel[below + at] * dots[l];
  }
  return w;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u) {
  let m = params.m;
  let j = params.step;
  let below = params.width * m;
  if (gid.x * PART >= m) {
    return;
  }
  var product = 0.0;
  var pivot_w = 0.0;
  if (j > 0u) {
    for (var r = j; r < m; r++) {
      product += panel[(j - 1u) * m + r] * y[r];
    }
    for (var l = 0u; l + 1u < j; l++) {
      product -= 2.0 * dots[l] * dots[params.width + l];
    }
    pivot_w = finished(j, product);
  }
  var total = 0.0;
  for (var i = gid.x * PART; i < min(m, gid.x * PART + PART); i++) {
    var c = 0.0;
    var w = 0.0;
    if (i >= j) {
      c = a[j * m + i];
      for (var l = 0u; l + 1u < j; l++) {
        c -= panel[l * m + i] * panel[below + l * m + j] + panel[below + l * m + i] * panel[l * m + j];
      }
      if (j > 0u) {
        w = finished(i, product);
        c -= panel[(j - 1u) * m + i] * pivot_w + w * panel[(j - 1u) * m + j];
      }
    }
    if (i == j) {
      diagonal[params.at] = c;
      c = 0.0;
    }
    column[i] = c;
    if (j > 0u) {
      panel[below + (j - 1u) * m + i] = w;
    }
    total += c * c;
  }
  squares[gid.x] = total;
}
