// What the channel norms share: which statistics a channel has, and its affine map.

struct Channel {
  mean: f32,
  rstd: f32,
  weight: f32,
  bias: f32,
}

// Index of the statistics of a channel: one per image and group, or one per channel of all images.
fn stat_of(image: u32, c: u32) -> u32 {
  return image * params.statsPerImage + c / params.channelsPerStat;
}

fn channel_of(image: u32, c: u32) -> Channel {
  let s = stat_of(image, c);
  return Channel(
    mean[s],
    inverseSqrt(variance[s] + params.eps),
    select(1.0, f32(weight[min(c, params.weightSize - 1u)]), params.hasWeight != 0u),
    select(0.0, f32(bias[min(c, params.biasSize - 1u)]), params.hasBias != 0u),
  );
}
