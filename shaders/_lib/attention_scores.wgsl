// From q·k to the logit of query i and key j, in powers of two: q·k already includes scale · log2 e.
//
//   WINDOW adds exp(−d² / 2σ²), d the distance of two patches on their grid; tokens before nPrefix are no patches and get 0 (NACLIP)
//   POSITIONAL leaves q·k out and multiplies the window by level[batch] (NACLIP's "nonly")
//   CAUSAL hides keys after the query
// CAUSAL, WINDOW, POSITIONAL, params and level are the shader's.

const LOG2_E: f32 = 1.4426950408889634;
const LOWEST: f32 = -3.4028234e38;

// Row and column of a token on the grid of patches; the row is -1 for a prefix token.
fn place(token: u32) -> vec2f {
  let t = f32(max(token, params.nPrefix) - params.nPrefix);
  let row = floor((t + 0.5) / f32(max(params.gridWidth, 1u))); // exact: a whole division is slow on CPU drivers
  let column = t - row * f32(params.gridWidth);
  return select(vec2f(row, column), vec2f(-1.0), token < params.nPrefix);
}

fn level_of(batch: u32) -> f32 {
  var x = 1.0;
  if (POSITIONAL) { x = f32(level[batch]); }
  return x;
}

// `own` is the place of one of the two tokens, `other` the other one: the window is symmetric.
fn score(dot: f32, i: u32, j: u32, own: vec2f, other: u32, rise: f32) -> f32 {
  var s = dot;
  if (POSITIONAL) { s = 0.0; }
  if (WINDOW) {
    let there = place(other);
    let d = own - there;
    let w = exp(max(-(d.x * d.x + d.y * d.y) * params.invTwoVar, -100.0));
    s += select(0.0, w * (rise * LOG2_E), min(own.x, there.x) >= 0.0);
  }
  if (CAUSAL) { s = select(s, LOWEST, j > i); }
  return s;
}
