"""How fast this machine multiplies integers, and what NumPy's integer product waits for.

Its einsum kernel does one load of b, one multiplication, one load and one store of the sum for each vector of four
int32 (NumPy builds it for 128-bit vectors only), and it is the vector that counts: int16, eight to a vector and
otherwise the same code, is about twice as fast, int64 about three times slower, and int32 is as fast on operands of
2 MB as in the innermost cache, so memory bandwidth is not what it waits for; a call's overhead is a few microseconds,
against 50 for the products of one image. float32 BLAS uses the processor's widest vectors and keeps sums in registers.
experiments/README.md has the rates in figures. A second thread helps the integer products of a large batch alone, see
tiles.py.
"""
import statistics

import numpy as np

from .. import tiles
from ..int8.arith import matmul
from .timing import interleaved, median, seconds, threads

# (n, k, m) of the products of a forward pass at batch 256; of PointNet's layers for points, 16 points a sample.
MATMULS = {"lenet5": ((6, 25, 256 * 784), (16, 150, 256 * 196), (120, 784, 256), (84, 120, 256), (10, 84, 256)),
           "pointnet": ((64, 3, 4096), (64, 64, 4096), (128, 64, 4096), (1024, 128, 4096), (512, 1024, 256),
                        (256, 512, 256), (40, 256, 256))}


def matmul_ratios(rounds):
    """How many times faster the integer matmul is than int32 @ int32, by shape and as geometric means."""
    draw, by_shape = np.random.default_rng(0), {}
    for model, shapes in MATMULS.items():
        for n, k, m in shapes:
            a, b = (draw.integers(-127, 128, shape).astype(np.int32) for shape in ((n, k), (k, m)))
            with threads(1):
                one = interleaved({"numpy": lambda: a @ b, "ours": lambda: matmul(a, b)}, rounds)
            with threads(2):
                two = interleaved({"numpy": lambda: a @ b, "ours": lambda: tiled_matmul(a, b)}, rounds)
            by_shape[f"{model} {n}x{k}x{m}"] = [median(taken["numpy"]) / median(taken["ours"]) for taken in (one, two)]
    means = [statistics.geometric_mean(values) for values in zip(*by_shape.values())]
    rounded = {name: [round(ratio, 2) for ratio in ratios] for name, ratios in by_shape.items()}
    return {"matmul_1t": means[0], "matmul_2t": means[1]}, rounded


def tiled_matmul(a, b):
    """The integer product, its columns cut over the threads as tiles of a batch are."""
    tiles.for_tiles(b.shape[1], -(-b.shape[1] // tiles.threads()), lambda columns: matmul(a, b[:, columns]))


BARE = 16, 150, 2000, 20   # of `bare_einsum`: rows, terms, columns, calls


def bare_einsum():
    """A function that runs NumPy's integer product some times, of a shape at which it is about as fast as it gets."""
    n, k, m, calls = BARE
    a, b, out = np.ones((n, k), np.int32), np.ones((k, m), np.int32), np.empty((n, m), np.int32)
    return lambda: [np.einsum("nk,km->nm", a, b, out=out) for _ in range(calls)]


def kernel_rates(rounds):
    """Billions of products a second on one thread, and a call's overhead: what the module's docstring argues from."""
    draw = np.random.default_rng(0)

    def rate(work, products):
        work()
        return round(products / median([seconds(work) for _ in range(rounds)]) / 1e9, 2)

    def einsum(dtype, n, k, m, subscripts="nk,km->nm"):
        a, b = draw.integers(-9, 10, (n, k)).astype(dtype), draw.integers(-9, 10, (k, m)).astype(dtype)
        if subscripts == "nk,mk->nm":
            b = np.ascontiguousarray(b.T)
        out = np.empty((n, m), dtype)
        return rate(lambda: np.einsum(subscripts, a, b, out=out), n * k * m)

    floats = [draw.random(shape, np.float32) for shape in ((16, 150), (150, 3136))]
    tiny = np.ones((1, 1), np.int32)
    calls = median([seconds(lambda: [np.einsum("nk,km->nm", tiny, tiny) for _ in range(100)]) for _ in range(rounds)])
    return {"einsum_int16": einsum(np.int16, 16, 8, 1024), "einsum_int32": einsum(np.int32, 16, 8, 1024),
            "einsum_int64": einsum(np.int64, 16, 8, 1024), "einsum_int32_2mb": einsum(np.int32, 16, 150, 3136),
            "einsum_int32_along_k": einsum(np.int32, 32, 784, 120, "nk,mk->nm"),
            "float32_blas": rate(lambda: floats[0] @ floats[1], 16 * 150 * 3136),
            "einsum_call_microseconds": round(1e4 * calls, 2)}
