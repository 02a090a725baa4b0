// Order of floats as unsigned integers: a < b as floats exactly when sort_key(a) < sort_key(b). −0 counts as 0, and every NaN as
// greater than all numbers.
fn sort_key(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  let magnitude = bits & 0x7fffffffu;
  let ordered = select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
  return select(ordered, 0xffffffffu, magnitude > 0x7f800000u);
}
