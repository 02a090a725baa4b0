// threefry2x32 with 20 rounds (Salmon et al., SC 2011): 32 random bits for the counter (0, i) under a key, as randomBits() of the host.

fn threefry_rounds(x: vec2u, r: vec4u) -> vec2u {
  var v = x;
  for (var k = 0u; k < 4u; k++) {
    v.x += v.y;
    v.y = ((v.y << r[k]) | (v.y >> (32u - r[k]))) ^ v.x;
  }
  return v;
}

fn random_bits(key: vec2u, i: u32) -> u32 {
  let third = key.x ^ key.y ^ 0x1bd11bdau;
  let even = vec4u(13u, 15u, 26u, 6u);
  let odd = vec4u(17u, 29u, 16u, 24u);
  var v = vec2u(0u, i) + key;
  v = threefry_rounds(v, even) + vec2u(key.y, third + 1u);
  v = threefry_rounds(v, odd) + vec2u(third, key.x + 2u);
  v = threefry_rounds(v, even) + vec2u(key.x, key.y + 3u);
  v = threefry_rounds(v, odd) + vec2u(key.y, third + 4u);
  v = threefry_rounds(v, even) + vec2u(third, key.x + 5u);
  return v.x ^ v.y;
}
