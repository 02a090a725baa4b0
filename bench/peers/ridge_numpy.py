#!/usr/bin/env python3
"""Cross-validated ridge regression on the CPU: three algorithms on the same data.

    python3 bench/peers/ridge_numpy.py --n 600 --p 1000 --targets 1500 --alphas 8 --folds 3

Needs numpy and scipy alone, as Debian's python3-numpy and python3-scipy; himalaya is not imported. Times are those of the BLAS that
numpy finds (Debian: libopenblas0-pthread; without it the reference BLAS, which is many times slower).

  kernel  what himalaya's KernelRidgeCV does with its numpy backend: in every fold an eigendecomposition of the training kernel; for
          every alpha a matrix from training responses to predictions; predictions of all alphas in memory, then their scores; at the
          end for every alpha in use the inverse kernel times all responses, of which the columns that chose it are kept
  svd     what its RidgeCV does: the same with a singular value decomposition of the training features in every fold
  g       what Gyrus does. Fewer training samples than features: one inverse of K + alpha·1 over all samples per alpha, the operators
          of all folds from its blocks, refit by alpha. Otherwise: sums over features taken down from those of all samples, one
          Cholesky factor per alpha and fold

The default sizes are those of himalaya's own benchmark script. No intercept, contiguous folds, score minus the mean squared error
(himalaya's default), ties to the larger alpha. Prints one JSON line per algorithm: seconds and 10^9 floating point operations by stage
(a product of [m,k] and [k,n] counts 2mkn, eigh 9n^3, svd of [m,n] 6mn^2 + 20n^3 with n the smaller side, an inverse of a positive
definite matrix n^3), the rate of a plain product in the same process, and the largest difference of scores and alphas from the first
algorithm. Exits with 1 where scores differ by more than 1e-4 at an alpha that this precision can tell.
"""
import argparse
import json
import resource
import sys
import time

import numpy as np
import scipy.linalg
from scipy.linalg import lapack

TOLERANCE = 1e-4
# At alphas below this share of the largest eigenvalue, rounding of the kernel itself changes predictions by more than the tolerance.
RESOLVED = {"float32": 1e-6, "float64": 1e-12}
UNUSABLE = -1e5  # himalaya's score of an alpha that rounding of the eigenvalues swamps
KEPT_BYTES = 2 << 30


class Stages:
    """Seconds and operations by name."""

    def __init__(self):
        self.seconds, self.gflop = {}, {}
        self._since = time.perf_counter()

    def start(self):
        self._since = time.perf_counter()

    def end(self, name, operations=0.0):
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self.gflop[name] = self.gflop.get(name, 0.0) + operations / 1e9
        self._since = now


def folds_of(n, count):
    """First and last + 1 row of contiguous folds; the first n mod count have one row more."""
    edges = np.cumsum([0] + [n // count + (i < n % count) for i in range(count)])
    return list(zip(edges[:-1], edges[1:]))


def neg_loss(measured, predicted):
    """Minus the mean squared error over the last but one axis."""
    difference = measured - predicted
    np.multiply(difference, difference, out=difference)
    return -difference.mean(axis=-2, dtype=np.float64)


def train_rows(x, start, end):
    return np.concatenate([x[:start], x[end:]])


def choose(scores, alphas):
    """Index of the best alpha of each target; scores: [folds, alphas, targets]."""
    return np.argmax(scores.mean(axis=0) + 1e-10 * np.log(alphas)[:, None], axis=0)


def batches(count, size):
    return [slice(i, min(count, i + size)) for i in range(0, count, size)]


def score_operators(operators, y_train, y_test, size):
    """Scores of stacked operators [alphas, m, n_train], all predictions of a batch in memory."""
    return np.concatenate(
        [neg_loss(y_test[:, b], operators @ y_train[:, b]) for b in batches(y_train.shape[1], size)],
        axis=1,
    )


def refit_all(make, y, best, rows, size):
    """Coefficients: every operator in use times all targets, of which its own are kept."""
    coefficients = np.empty((rows, y.shape[1]), y.dtype)
    used = np.unique(best)
    for b in batches(y.shape[1], size):
        for a in used:
            own = best[b] == a
            coefficients[:, b][:, own] = (make(a) @ y[:, b])[:, own]
    return coefficients, len(used)


def kernel_path(x, y, alphas, n_folds, size, stages):
    n, p, v = *x.shape, y.shape[1]
    kernel = x @ x.T
    stages.end("gram", n * n * p)
    scores = []
    for start, end in folds_of(n, n_folds):
        m, k = end - start, n - (end - start)
        rows = np.r_[0:start, end:n]
        values, vectors = scipy.linalg.eigh(kernel[np.ix_(rows, rows)])
        stages.end("factor", 9 * k**3)
        turned = kernel[start:end][:, rows] @ vectors
        operators = np.stack([(turned / (values + a)) @ vectors.T for a in alphas])
        stages.end("operators", 2 * m * k * k * (1 + len(alphas)))
        fold = score_operators(operators, y[rows], y[start:end], size)
        if values[0] < 0:
            fold[alphas < -2 * values[0]] = UNUSABLE
        scores.append(fold)
        stages.end("predict+score", 2 * len(alphas) * m * k * v)
    scores = np.stack(scores)
    best = choose(scores, alphas)
    values, vectors = scipy.linalg.eigh(kernel)
    values = np.maximum(values, 0)
    inverses = {a: (vectors / (values + alphas[a])) @ vectors.T for a in np.unique(best)}
    _, used = refit_all(inverses.get, y, best, n, size)
    stages.end("refit", 9 * n**3 + used * (2 * n**3 + 2 * n * n * v))
    return scores.mean(axis=0), best


def svd_path(x, y, alphas, n_folds, size, stages):
    n, p, v = *x.shape, y.shape[1]
    scores = []

    def decompose(rows):
        left, s, right = scipy.linalg.svd(rows, full_matrices=False)
        k = len(s)
        stages.end("factor", 6 * max(rows.shape) * k * k + 20 * k**3)
        return left, s, right, k

    for start, end in folds_of(n, n_folds):
        m = end - start
        train = train_rows(x, start, end)
        left, s, right, k = decompose(train)
        # The weights of every alpha, [alphas, p, n_train], then what they make of the test rows.
        operators = np.stack([x[start:end] @ ((right.T * (s / (s * s + a))) @ left.T) for a in alphas])
        stages.end("operators", len(alphas) * (2 * p * k * len(train) + 2 * m * p * len(train)))
        scores.append(score_operators(operators, train_rows(y, start, end), y[start:end], size))
        stages.end("predict+score", 2 * len(alphas) * m * len(train) * v)
    scores = np.stack(scores)
    best = choose(scores, alphas)
    left, s, right, k = decompose(x)
    weights = {a: (right.T * (s / (s * s + alphas[a]))) @ left.T for a in np.unique(best)}
    _, used = refit_all(weights.get, y, best, p, size)
    stages.end("refit", used * (2 * p * k * n + 2 * p * n * v))
    return scores.mean(axis=0), best


def inverse(matrix):
    """Inverse of a positive definite matrix through its Cholesky factor; nothing where there is none."""
    potrf, potri = lapack.get_lapack_funcs(("potrf", "potri"), (matrix,))
    factor, info = potrf(matrix, lower=True)
    if info != 0:
        return None
    result, _ = potri(factor, lower=True, overwrite_c=True)
    lower = np.tril(result, -1)
    return lower + lower.T + np.diag(np.diag(result))


def add_diagonal(matrix, alpha):
    moved = matrix.copy()
    moved[np.diag_indices_from(moved)] += alpha
    return moved


def solve_positive(matrix, right):
    try:
        return scipy.linalg.cho_solve(scipy.linalg.cho_factor(matrix, lower=True), right)
    except scipy.linalg.LinAlgError:
        return None


def g_dual(x, y, alphas, n_folds, size, stages):
    n, p, v = *x.shape, y.shape[1]
    kernel = x @ x.T
    stages.end("gram", n * n * p)
    folds = folds_of(n, n_folds)
    scores = np.full((n_folds, len(alphas), v), UNUSABLE)
    kept = {}
    keep = len(alphas) * kernel.nbytes <= KEPT_BYTES
    for a, alpha in enumerate(alphas):
        # Scaled by alpha, of which the operators do not depend: for large ones K / alpha^2 would be subnormal in float32.
        g = inverse(add_diagonal(kernel / alpha, 1))
        stages.end("factor", n**3)
        if g is None:
            continue
        if keep:
            kept[a] = g
        for f, (start, end) in enumerate(folds):
            m, k = end - start, n - (end - start)
            sides = np.concatenate([g[start:end, :start], g[start:end, end:]], axis=1)
            operator = solve_positive(g[start:end, start:end], sides)
            stages.end("operators", m**3 / 3 + 2 * m * m * k)
            if operator is None:
                continue
            operator = np.negative(operator, out=operator)
            for b in batches(v, size):
                predicted = operator[:, :start] @ y[:start, b] + operator[:, start:] @ y[end:, b]
                scores[f, a, b] = neg_loss(y[start:end, b], predicted)
            stages.end("predict+score", 2 * m * k * v)
    best = choose(scores, alphas)
    dual, work = np.empty((n, v), y.dtype), 0
    for a in np.unique(best):
        own = np.flatnonzero(best == a)
        g = kept.get(a)
        if g is None:
            g = inverse(add_diagonal(kernel / alphas[a], 1))
            work += n**3
        dual[:, own] = g @ y[:, own] / alphas[a]
    stages.end("refit", work + 2 * n * n * v)
    return scores.mean(axis=0), best


def g_primal(x, y, alphas, n_folds, size, stages):
    n, p, v = *x.shape, y.shape[1]
    gram, products = x.T @ x, x.T @ y
    stages.end("gram", n * p * p + 2 * n * p * v)
    scores = np.full((n_folds, len(alphas), v), UNUSABLE)
    for f, (start, end) in enumerate(folds_of(n, n_folds)):
        m, x_test = end - start, x[start:end]
        fold_gram = gram - x_test.T @ x_test
        fold_products = products - x_test.T @ y[start:end]
        stages.end("gram", m * p * p + 2 * m * p * v)
        for a, alpha in enumerate(alphas):
            solved = solve_positive(add_diagonal(fold_gram, alpha), x_test.T)
            stages.end("operators", p**3 / 3 + 2 * p * p * m)
            if solved is None:
                continue
            for b in batches(v, size):
                scores[f, a, b] = neg_loss(y[start:end, b], solved.T @ fold_products[:, b])
            stages.end("predict+score", 2 * m * p * v)
    best = choose(scores, alphas)
    coefficients = np.empty((p, v), y.dtype)
    used = np.unique(best)
    for a in used:
        own = np.flatnonzero(best == a)
        coefficients[:, own] = solve_positive(add_diagonal(gram, alphas[a]), products[:, own])
    stages.end("refit", len(used) * p**3 / 3 + 2 * p * p * v)
    return scores.mean(axis=0), best


def g_path(x, y, alphas, n_folds, size, stages):
    is_primal = x.shape[1] < x.shape[0] - x.shape[0] // n_folds
    return (g_primal if is_primal else g_dual)(x, y, alphas, n_folds, size, stages)


PATHS = {"kernel": kernel_path, "svd": svd_path, "g": g_path}


def make_data(n, p, v, dtype, seed):
    """Features and responses of unit variance, of which a tenth is a linear function of the features."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p), dtype=np.float32)
    y = rng.standard_normal((n, v), dtype=np.float32)
    weights = rng.standard_normal((p, v), dtype=np.float32)
    y = np.sqrt(0.9) * y + (x @ weights) * np.float32(np.sqrt(0.1 / p))
    return x.astype(dtype), y.astype(dtype)


def product_rate(dtype):
    """10^9 operations per second of a plain product, best of three."""
    a = np.ones((1500, 1500), dtype)
    best = np.inf
    for _ in range(3):
        since = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - since)
    return 2 * 1500**3 / best / 1e9


def run(name, x, y, alphas, options):
    """The fastest of some runs."""
    best = None
    for _ in range(options.repeats):
        stages = Stages()
        scores, chosen = PATHS[name](x, y, alphas, options.folds, options.targets_batch, stages)
        total = sum(stages.seconds.values())
        if best is None or total < best[0]:
            best = total, stages, scores, chosen
    return best


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=3000, help="samples")
    parser.add_argument("--p", type=int, default=1000, help="features")
    parser.add_argument("--targets", type=int, default=30000)
    parser.add_argument("--alphas", type=int, default=20, help="how many, from 10^-3 to 10^20")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--dtype", choices=sorted(RESOLVED), default="float32")
    parser.add_argument("--targets-batch", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=1, help="the fastest is told")
    parser.add_argument("--paths", default="kernel,svd,g", help="which, in order")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    unknown = [name for name in options.paths.split(",") if name not in PATHS]
    if unknown or min(options.n, options.p, options.targets, options.alphas, options.repeats) < 1:
        parser.error(f"paths are {', '.join(PATHS)}, and sizes are 1 or more")
    if not 2 <= options.folds <= options.n:
        parser.error("there must be from 2 to n folds")
    return options


def main():
    options = parse()
    x, y = make_data(options.n, options.p, options.targets, options.dtype, options.seed)
    alphas = np.logspace(-3, 20, options.alphas).astype(options.dtype)
    rate = product_rate(options.dtype)
    # The largest eigenvalue of the kernel by power iterations.
    direction = np.ones(options.p, np.float64)
    for _ in range(50):
        direction = x.T @ (x @ direction)
        largest = np.linalg.norm(direction)
        direction /= largest
    told = alphas >= RESOLVED[options.dtype] * largest
    first, failed = None, False
    for name in options.paths.split(","):
        total, stages, scores, best = run(name, x, y, alphas, options)
        line = {
            "path": name,
            **{key: getattr(options, key) for key in ("n", "p", "targets", "folds", "dtype")},
            "alphas": options.alphas,
            "seconds": {**{k: round(s, 4) for k, s in stages.seconds.items()}, "total": round(total, 4)},
            "gflop": {
                **{k: round(g, 2) for k, g in stages.gflop.items()},
                "total": round(sum(stages.gflop.values()), 2),
            },
            "gflop_per_second": round(sum(stages.gflop.values()) / total, 1),
            "product_gflop_per_second": round(rate, 1),
            "largest_memory_mib_so_far": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        if first is None:
            first = scores, best
        else:
            usable = told[:, None] & (scores > UNUSABLE / 2) & (first[0] > UNUSABLE / 2)
            difference = float(np.abs(scores - first[0])[usable].max(initial=0))
            failed = failed or not difference <= TOLERANCE
            line["largest_score_difference"] = difference
            line["alphas_compared"] = int(usable.any(axis=1).sum())
            line["same_best_alpha"] = float((best == first[1]).mean())
        print(json.dumps(line), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
