// What the convolutions of CPU drivers do for four pixels of a lane. Reads x, y, params, SG and TRANSPOSED of the kernel.

// Four pixels of a lane: image (or −1 beyond the last), row and column.
struct Pixels {
  image: vec4i,
  oy: vec4i,
  ox: vec4i,
}

fn pixels_at(first: u32, phase: vec2i, sub: vec2u, step: vec2i) -> Pixels {
  let p = vec4u(first) + vec4u(0u, SG, 2u * SG, 3u * SG);
  let image = vec4i(p / (sub.x * sub.y));
  let oy = vec4i((p / sub.x) % sub.y) * step.y + phase.y;
  let ox = vec4i(p % sub.x) * step.x + phase.x;
  let live = (image < vec4i(i32(params.n))) & (oy < vec4i(i32(params.oh))) & (ox < vec4i(i32(params.ow)));
  return Pixels(select(vec4i(-1), image, live), oy, ox);
}

// Where the pixels read the first channel of the group at a tap, or −1.
fn source(at: Pixels, group: u32, shift: vec2i) -> vec4i {
  let iy = tap_source4(at.oy, shift.y, params.strideY, i32(params.h));
  let ix = tap_source4(at.ox, shift.x, params.strideX, i32(params.w));
  let from_x = (at.image * i32(params.groups) + i32(group)) * i32(params.cinG * params.h * params.w);
  let inside = (at.image >= vec4i(0)) & (iy >= vec4i(0)) & (ix >= vec4i(0));
  return select(vec4i(-1), from_x + iy * i32(params.w) + ix, inside);
}

fn load4(i: vec4u, inside: vec4<bool>) -> vec4f {
  let v = vec4f(f32(x[i.x]), f32(x[i.y]), f32(x[i.z]), f32(x[i.w]));
  return select(vec4f(0.0), v, inside);
}

// Writes channel `o` of the pixels, but those beyond the image.
fn put(v: vec4f, at: Pixels, o: u32) {
  let to = (vec4u(at.image) * params.yChannels + params.yFirst + o) * (params.oh * params.ow)
    + vec4u(at.oy) * params.ow + vec4u(at.ox);
  let live = at.image >= vec4i(0);
  if (live.x) { y[to.x] = Elem(v.x); }
  if (live.y) { y[to.y] = Elem(v.y); }
  if (live.z) { y[to.z] = Elem(v.z); }
  if (live.w) { y[to.w] = Elem(v.w); }
}
