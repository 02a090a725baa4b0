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
