// Makes the reflector 1 - v·vᵀ that clears a column below its second entry, and its products (one step of LAPACK's latrd):
//   v = (column - β·e) / √(|column|² + |column[step + 1]|·|column|),  β = ∓|column|,  e the unit vector of step + 1;  |v|² = 2
//   panel[0][step] = v   y = a·v below the diagonal, else 0   dots = V·v and W·v of the reflectors before   off_diagonal[at] = β
//
//   a: [m, m]   column: [m], zero down to step   squares: [parts], their sum is |column|²
//   panel: [2, width, m], V and then W   dots: [2, width]   off_diagonal: [n]   one thread per row of a, then per row of the panel
//   numerics: v is 0 and β = 0 where |column|² is below NEGLIGIBLE, far below rounding beside entries of size 1

const WG: u32 = 64;
const NEGLIGIBLE: f32 = 1e-30;

struct Params {
  m: u32,
  width: u32,
  parts: u32,
  step: u32,
  at: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> column: array<f32>;
@group(0) @binding(2) var<storage, read> squares: array<f32>;
@group(0) @binding(3) var<storage, read_write> panel: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> dots: array<f32>;
@group(0) @binding(6) var<storage, read_write> off_diagonal: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u) {
  let m = params.m;
  let j = params.step;
  let head = j + 1u;
  var norm2 = 0.0;
  for (var p = 0u; p < params.parts; p++) {
    norm2 += squares[p];
  }
  let is_live = norm2 > NEGLIGIBLE && head < m;
  let first = select(0.0, column[min(head, m - 1u)], is_live);
  let norm = select(0.0, sqrt(norm2), is_live);
  let beta = select(norm, -norm, first > 0.0);
  let scale = select(0.0, 1.0 / sqrt(max(norm2, NEGLIGIBLE) + abs(first) * norm), is_live);

  let i = gid.x;
  if (i < m) {
    var product = 0.0;
    if (i >= head) {
      for (var r = head; r < m; r++) {
        product += a[i * m + r] * column[r];
      }
      product -= beta * a[i * m + head];
    }
    y[i] = scale * product;
    panel[j * m + i] = scale * (column[i] - select(0.0, beta, i == head));
    if (i == 0u) {
      off_diagonal[params.at] = beta;
    }
  } else if (i - m < 2u * j) {
    let l = select(i - m, i - m - j + params.width, i - m >= j);
    var product = 0.0;
    for (var r = head; r < m; r++) {
      product += panel[l * m + r] * column[r];
    }
    dots[l] = scale * (product - beta * select(0.0, panel[l * m + min(head, m - 1u)], head < m));
  }
}
