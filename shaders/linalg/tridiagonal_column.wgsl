// Finishes w of the last reflector and makes the column that the next one clears (one step of LAPACK's latrd):
//   w = y - sum over l of (V[l]·(W[l]ᵀv) + W[l]·(V[l]ᵀv)) - ½·(vᵀ·y')·v,  y' the difference before the last term,  v = V[step - 1]
//   c = a[step] - sum over l < step of (V[l]·W[l][step] + W[l]·V[l][step])
//
//   a: [m, m] symmetric   y: [m] = a·v   dots: [2, width] = V·v and W·v   panel: [2, width, m], V and then W
//   column: [m] = c below the diagonal, else 0   squares: [parts], of 256 values of the column each   diagonal[at] = c[step]
//   one thread per column of the panel; every workgroup sums vᵀ·y' over all rows by itself, which saves a dispatch per step
//   numerics: vᵀ·y' = vᵀ·y - 2·(V·v)·(W·v); the difference errs by rounding of the size of a, as y' itself does

const WG: u32 = 256; // values in a part
const MAX_WIDTH: u32 = 64;
const_assert MAX_WIDTH <= WG;

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

// Of reflector l: V[l][step], W[l][step], V[l]ᵀv, W[l]ᵀv.
var<workgroup> pivots: array<vec4f, MAX_WIDTH>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let m = params.m;
  let j = params.step;
  let below = params.width * m; // where W begins
  let before = max(j, 1u) - 1u; // reflectors whose w is known
  let v_at = before * m;
  var product = 0.0;
  if (lid < j) {
    var pivot = vec4f(panel[lid * m + j], 0.0, 0.0, 0.0);
    if (lid < before) {
      pivot = vec4f(pivot.x, panel[below + lid * m + j], dots[lid], dots[params.width + lid]);
      product = -2.0 * pivot.z * pivot.w;
    }
    pivots[lid] = pivot;
  }
  if (j > 0u) {
    for (var r = j + lid; r < m; r += WG) {
      product += panel[v_at + r] * y[r];
    }
  }
  let half_product = 0.5 * workgroup_sum(product, lid); // its barriers publish the pivots
  var pivot_w = 0.0; // W[step - 1][step]
  if (j > 0u) {
    pivot_w = y[j] - half_product * pivots[before].x;
    for (var l = 0u; l < before; l++) {
      pivot_w -= pivots[l].x * pivots[l].w + pivots[l].y * pivots[l].z;
    }
  }
  let i = wid.x * WG + lid;
  var c = 0.0;
  var w = 0.0;
  if (i >= j && i < m) {
    c = a[j * m + i];
    if (j > 0u) {
      w = y[i];
      for (var l = 0u; l < before; l++) {
        let pivot = pivots[l];
        let v_l = panel[l * m + i];
        let w_l = panel[below + l * m + i];
        w -= v_l * pivot.w + w_l * pivot.z;
        c -= v_l * pivot.y + w_l * pivot.x;
      }
      let v = panel[v_at + i];
      w -= half_product * v;
      c -= v * pivot_w + w * pivots[before].x;
    }
  }
  if (i == j) {
    diagonal[params.at] = c;
    c = 0.0;
  }
  if (i < m) {
    column[i] = c;
    if (j > 0u) {
      panel[below + v_at + i] = w;
    }
  }
  let total = workgroup_sum(c * c, lid);
  if (lid == 0u) {
    squares[wid.x] = total;
  }
}
