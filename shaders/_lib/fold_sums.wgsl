// Sums of one vec4 of columns over the rows of a block, and how they grow.

struct FoldSums {
  p: vec4f,
  pp: vec4f,
  yp: vec4f,
  error: vec4f,
}

// A row's prediction p meets its response y; rows that are not in use change nothing. `shift` comes off y, and off p where `both` is 1.
fn grown(s: FoldSums, p: vec4f, y: vec4f, shift: vec4f, in_use: bool) -> FoldSums {
  let known = select(vec4f(0.0), p - params.both * shift, in_use);
  let moved = y - shift;
  let apart = select(vec4f(0.0), moved - known, in_use);
  return FoldSums(s.p + known, s.pp + known * known, s.yp + moved * known, s.error + apart * apart);
}

// Writes the sums of four columns from `at` on.
fn store_sums(s: FoldSums, at: u32) {
  sums[at] = vec4f(s.p.x, s.pp.x, s.yp.x, s.error.x);
  sums[at + 1u] = vec4f(s.p.y, s.pp.y, s.yp.y, s.error.y);
  sums[at + 2u] = vec4f(s.p.z, s.pp.z, s.yp.z, s.error.z);
  sums[at + 3u] = vec4f(s.p.w, s.pp.w, s.yp.w, s.error.w);
}
