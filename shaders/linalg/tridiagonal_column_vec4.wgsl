// Finishes w of the last reflector and makes the column that the next one clears (one step of LAPACK's latrd):
//   w = y - sum over l of (V[l]·(W[l]ᵀv) + W[l]·(V[l]ᵀv)) - ½·(vᵀ·y')·v,  y' the difference before the last term,  v = V[step - 1]
//   c = a[step] - sum over l < step of (V[l]·W[l][step] + W[l]·V[l][step])
//
//   a: [m, m] symmetric   y: [m] = a·v   dots: [2, width] = V·v and W·v   panel: [2, width, m], V and then W
//   column: [m] = c below the diagonal, else 0   squares: [parts], of 256 values of the column each   diagonal[at] = c[step]
//   m is a multiple of 4; one thread per 4 columns of the panel; every workgroup sums vᵀ·y' over all rows by itself, which saves a dispatch per step
//   numerics: vᵀ·y' = vᵀ·y - 2·(V·v)·(W·v); the difference errs by rounding of the size of a, as y' itself does

const WG: u32 = 64; // 4 values of a part each
const MAX_WIDTH: u32 = 64;
const_assert MAX_WIDTH <= WG;

struct Params {
  m: u32,
  width: u32,
  step: u32,
  at: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> dots: array<f32>;
@group(0) @binding(3) var<storage, read_write> panel: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> column: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> squares: array<f32>;
@group(0) @binding(6) var<storage, read_write> diagonal: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

// Of reflector l: V[l][step], W[l][step], V[l]ᵀv, W[l]ᵀv.
var<workgroup> pivots: array<vec4f, MAX_WIDTH>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let m4 = params.m / 4u;
  let j = params.step;
  let j4 = j / 4u;
  let below = params.width * m4; // where W begins
  let before = max(j, 1u) - 1u; // reflectors whose w is known
  let v_at = before * m4;
  var product = 0.0;
  if (lid < j) {
    var pivot = vec4f(panel[lid * m4 + j4][j % 4u], 0.0, 0.0, 0.0);
    if (lid < before) {
      let w = panel[below + lid * m4 + j4][j % 4u];
      pivot = vec4f(pivot.x, w, dots[lid], dots[params.width + lid]);
      product = -2.0 * pivot.z * pivot.w;
    }
    pivots[lid] = pivot;
  }
  if (j > 0u) {
    for (var q = j4 + lid; q < m4; q += WG) {
      let inside = vec4u(4u * q) + vec4u(0u, 1u, 2u, 3u) >= vec4u(j);
      product += dot(select(vec4f(0.0), panel[v_at + q] * y[q], inside), vec4f(1.0));
    }
  }
  let half_product = 0.5 * workgroup_sum(product, lid); // its barriers publish the pivots
  var pivot_w = 0.0; // W[step - 1][step]
  if (j > 0u) {
    pivot_w = y[j4][j % 4u] - half_product * pivots[before].x;
    for (var l = 0u; l < before; l++) {
      pivot_w -= pivots[l].x * pivots[l].w + pivots[l].y * pivots[l].z;
    }
  }
  let i = wid.x * WG + lid;
  let id = vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u);
  var c = vec4f(0.0);
  if (i < m4) {
    var w = vec4f(0.0);
    if (i >= j4) {
      c = a[j * m4 + i];
      if (j > 0u) {
        w = y[i];
        for (var l = 0u; l < before; l++) {
          let pivot = pivots[l];
          let v_l = panel[l * m4 + i];
          let w_l = panel[below + l * m4 + i];
          w -= v_l * pivot.w + w_l * pivot.z;
          c -= v_l * pivot.y + w_l * pivot.x;
        }
        let v = panel[v_at + i];
        w -= half_product * v;
        c -= v * pivot_w + w * pivots[before].x;
      }
      if (i == j4) {
        diagonal[params.at] = c[j % 4u];
      }
    }
    c = select(vec4f(0.0), c, id > vec4u(j));
    column[i] = c;
    if (j > 0u) {
      panel[below + v_at + i] = select(vec4f(0.0), w, id >= vec4u(j));
    }
  }
  let total = workgroup_sum(dot(c, c), lid);
  if (lid == 0u) {
    squares[wid.x] = total;
  }
}
