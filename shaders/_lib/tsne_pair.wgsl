// What a pair of embedded points adds to the forces on the first; DIM, DIVERGENCE and EXACT are constants of the shader.
// In two dimensions Student's t has one degree of freedom, in three it has two.

struct Forces {
  attraction: vec4f, // x, y, z, and the kernel t
  repulsion: vec4f, // x, y, z, and p log(p / t)
}

fn tsne_pair(p: f32, difference: vec3f) -> Forces {
  let square = dot(difference, difference);
  let u = 1.0 / (1.0 + square * select(1.0, 0.5, DIM == 3u));
  let t = select(u, u * sqrt(u), DIM == 3u);
  let weight = select(t, u, EXACT);
  var divergence = 0.0;
  if (DIVERGENCE && p > 0.0) {
    divergence = p * (log(p) - log(t));
  }
  return Forces(vec4f(p * weight * difference, t), vec4f(t * weight * difference, divergence));
}
