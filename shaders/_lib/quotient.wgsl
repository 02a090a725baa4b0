// The quotient of whole numbers, exact below 2^22; integer division is dear on software drivers.
fn quotient(a: u32, b: u32) -> u32 {
  let guess = u32(f32(a) / f32(b));
  let rest = i32(a - guess * b);
  return guess + select(0u, 1u, rest >= i32(b)) - select(0u, 1u, rest < 0);
}
