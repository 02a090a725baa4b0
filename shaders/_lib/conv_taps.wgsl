// Where a tap of a convolution reads, one axis at a time. Output position o, tap t → input position, or −1 outside.
//
//   convolution: i = o·stride − pad + t·dilation       its transpose: i·stride = o + pad − t·dilation

fn tap_source4(o: vec4i, shift: i32, stride: i32, size: i32) -> vec4i {
  if (!TRANSPOSED) {
    let i = o * stride + shift;
    return select(vec4i(-1), i, (i >= vec4i(0)) & (i < vec4i(size)));
  }
  let s = o - shift;
  let i = s / stride;
  return select(vec4i(-1), i, (s >= vec4i(0)) & (i * stride == s) & (i < vec4i(size)));
}

fn tap_source(o: i32, shift: i32, stride: i32, size: i32) -> i32 {
  return tap_source4(vec4i(o), shift, stride, size).x;
}
