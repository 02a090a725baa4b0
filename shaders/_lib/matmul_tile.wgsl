// Which tile of a batched product a workgroup makes. Tiles run down `group` row tiles, then to the next column tile, so that a strip
// of b and `group` strips of a stay in the cache together.

// returns: row tile, column tile, matrix
fn matmul_tile(t: u32, row_tiles: u32, col_tiles: u32, group: u32) -> vec3u {
  let each = row_tiles * col_tiles;
  let in_matrix = t % each;
  let first = in_matrix / (group * col_tiles) * group;
  let rows = min(group, row_tiles - first);
  let in_group = in_matrix - first * col_tiles;
  return vec3u(first + in_group % rows, in_group / rows, t / each);
}

// The same of a symmetric product, of which tiles on and below the diagonal are made, row by row: a CPU driver gives each of its
// threads an equal run of workgroups, and so they share the work evenly. Every tile is cut into `parts` of its rows.
fn symmetric_tile(t: u32, tiles: u32, parts: u32) -> vec3u {
  let each = tiles * (tiles + 1u) / 2u * parts;
  let at = t % each / parts;
  var row = u32((sqrt(8.0 * f32(at) + 1.0) - 1.0) / 2.0); // to rounding
  if (row * (row + 1u) / 2u > at) {
    row -= 1u;
  }
  if ((row + 1u) * (row + 2u) / 2u <= at) {
    row += 1u;
  }
  return vec3u(row * parts + t % parts, at - row * (row + 1u) / 2u, t / each);
}

// Terms of a tile's sums, from the first to the one after the last, where an operand is a triangle whose zeros are left out: `terms`
// is 1 where a is transposed lower and b is a, 2 where b is lower, 3 where a is lower.
fn terms_of(terms: u32, k: u32, first_row: u32, rows: u32, first_col: u32) -> vec2u {
  let begin = select(select(0u, first_col, terms == 2u), first_row, terms == 1u);
  return vec2u(min(begin, k), select(k, min(k, first_row + rows), terms == 3u));
}

// Workgroups in an order that pairs the first with the last, for tiles of unequal work: a CPU driver gives each of its threads an
// equal run of workgroups.
fn paired(t: u32, count: u32) -> u32 {
  return select(t / 2u, count - 1u - t / 2u, t % 2u == 1u);
}
