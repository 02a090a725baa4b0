// Makes the reflector 1 - v·vᵀ that clears a column below its second entry, and its products (one step of LAPACK's latrd):
//   v = (column - β·e) / √(|column|² + |column[step + 1]|·|column|),  β = ∓|column|,  e the unit vector of step + 1;  |v|² = 2
//   panel[0][step] = v   y = a·v below the diagonal, else 0   dots = V·v and W·v of the reflectors before   off_diagonal[at] = β
//
//   a: [m, m], m a multiple of 4   column: [m], zero down to step   squares: [parts], their sum is |column|²
//   panel: [2, width, m], V and then W   dots: [2, width]   off_diagonal: [n]
//   one subgroup, which is one workgroup, per 4 rows of a, then per 4 rows of the panel; the reflector is made where it is used
//   numerics: v is 0 and β = 0 where |column|² is below NEGLIGIBLE, far below rounding beside entries of size 1

const SG: u32 = 8; // lanes of a subgroup
const NEGLIGIBLE: f32 = 1e-30;

struct Params {
  m: u32,
  width: u32,
  parts: u32,
  step: u32,
  at: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> column: array<vec4f>;
@group(0) @binding(2) var<storage, read> squares: array<f32>;
@group(0) @binding(3) var<storage, read_write> panel: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dots: array<f32>;
@group(0) @binding(6) var<storage, read_write> off_diagonal: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

fn total4(acc: array<vec4f, 4>) -> vec4f {
  let ones = vec4f(1.0);
  return subgroupAdd(vec4f(dot(acc[0], ones), dot(acc[1], ones), dot(acc[2], ones), dot(acc[3], ones)));
}

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let m4 = params.m / 4u;
  let j = params.step;
  let head = j + 1u;
  var part = 0.0;
  for (var p = lane; p < params.parts; p += SG) {
    part += squares[p];
  }
  let norm2 = subgroupAdd(part);
  let is_live = norm2 > NEGLIGIBLE && head < params.m;
  let first = select(0.0, column[min(head / 4u, m4 - 1u)][head % 4u], is_live);
  let norm = select(0.0, sqrt(norm2), is_live);
  let beta = select(norm, -norm, first > 0.0);
  let scale = select(0.0, 1.0 / sqrt(max(norm2, NEGLIGIBLE) + abs(first) * norm), is_live);

  let group = wid.y * nwg.x + wid.x;
  var acc = array<vec4f, 4>();
  if (group < m4) {
    let rows = 4u * group;
    let id = vec4u(rows) + vec4u(0u, 1u, 2u, 3u);
    if (rows + 4u > head) {
      for (var q = head / 4u + lane; q < m4; q += SG) {
        let c = column[q];
        let at = rows * m4 + q;
        acc[0] += a[at] * c;
        acc[1] += a[at + m4] * c;
        acc[2] += a[at + 2u * m4] * c;
        acc[3] += a[at + 3u * m4] * c;
      }
    }
    let product = total4(acc);
    if (lane == 0u) {
      let at = min(head / 4u, m4 - 1u);
      var edge = vec4f(0.0);
      for (var r = 0u; r < 4u; r++) {
        edge[r] = a[(rows + r) * m4 + at][head % 4u];
      }
      let v = scale * (column[group] - select(vec4f(0.0), vec4f(beta), id == vec4u(head)));
      panel[j * m4 + group] = v;
      y[group] = select(vec4f(0.0), scale * (product - beta * edge), id >= vec4u(head));
      if (group == 0u) {
        off_diagonal[params.at] = beta;
      }
    }
    return;
  }
  // Reflector l of V, and of W behind them all.
  let l = vec4u(4u * (group - m4)) + vec4u(0u, 1u, 2u, 3u);
  let start = select(l, l - j + params.width, l >= vec4u(j));
  let inside = l < vec4u(2u * j);
  let row = select(vec4u(0u), start, inside) * m4;
  for (var q = head / 4u + lane; q < m4; q += SG) {
    let c = column[q];
    for (var r = 0u; r < 4u; r++) {
      acc[r] += panel[row[r] + q] * c;
    }
  }
  let product = total4(acc);
  if (lane < 4u && inside[lane]) {
    let edge = panel[row[lane] + min(head / 4u, m4 - 1u)][head % 4u];
    dots[start[lane]] = scale * (product[lane] - beta * edge);
  }
}
