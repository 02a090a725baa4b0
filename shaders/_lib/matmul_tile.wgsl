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
