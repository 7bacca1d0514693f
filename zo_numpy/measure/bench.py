"""How long a training step takes, on what, and the ratios that say whether that is much.

Everything is measured in one process on random images, interleaved: each round makes one step of every configuration,
so that a machine that slows down slows all of them; medians over the rounds, and quartiles as their spread. Trust the
ratios, not the milliseconds. The shares of a step are measured on one thread, where they add up.

What limits INT8 is NumPy's integer product. Its einsum kernel does one load of b, one multiplication, one load and
one store of the sum for each vector of four int32 (NumPy builds it for 128-bit vectors only), and it is the vector
that counts: int16, eight to a vector and otherwise the same code, is about twice as fast, int64 about three times
slower, and int32 is as fast on operands of 2 MB as in the innermost cache, so memory bandwidth is not what it waits
for; a call's overhead is a few microseconds, against 50 for the products of one image. float32 BLAS uses the
processor's widest vectors and keeps sums in registers. `kernels` in the output has all these rates;
experiments/README.md has them in figures. A second thread helps the integer products of a large batch alone, see
tiles.py. PointNet's steps are in bench_points.py.
"""
import contextlib
import os
import statistics
import sys
import time

import numpy as np

from .. import models, rng, tiles
from ..fp32 import elastic_zo as fp32_zo, layers as fp32_layers
from ..int8 import elastic_zo as int8_zo, layers as int8_layers, loss as int8_loss
from ..int8.arith import matmul
from ..run.config import BP, make_config
from ..run.steps import PRECISIONS, step_function
from . import memory

PARTS = ("draws", "perturb", "patches", "matmul", "requantise", "pooling", "loss", "tail", "rest")
TAILS = (0, 1, 2, 3, BP)
FIT_BATCHES = (32, 64, 128, 256, 512, 1024)
# (n, k, m) of the products of a forward pass at batch 256; of PointNet's layers for points, 16 points a sample.
MATMULS = {"lenet5": ((6, 25, 256 * 784), (16, 150, 256 * 196), (120, 784, 256), (84, 120, 256), (10, 84, 256)),
           "pointnet": ((64, 3, 4096), (64, 64, 4096), (128, 64, 4096), (1024, 128, 4096), (512, 1024, 256),
                        (256, 512, 256), (40, 256, 256))}
MNIST_IMAGES = 60_000


@contextlib.contextmanager
def threads(workers):
    """ZO_NUMPY_THREADS as given, and what it was before afterwards."""
    before = os.environ.get("ZO_NUMPY_THREADS")
    os.environ["ZO_NUMPY_THREADS"] = str(workers)
    try:
        yield
    finally:
        del os.environ["ZO_NUMPY_THREADS"]
        if before is not None:
            os.environ["ZO_NUMPY_THREADS"] = before


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(works, rounds):
    """{name: seconds of each round} of several functions, after one call of each that is not counted."""
    for work in works.values():
        work()
    taken = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(seconds(work))
    return taken


def median(values):
    return statistics.median(values)


def spread(values):
    """The quartiles of some values, as fractions of their median."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return [round(low / middle, 3), round(high / middle, 3)]


def step_of(precision, bp_tail, batch, **options):
    """A function that makes the next training step of its own run, of LeNet-5 by default, on random samples."""
    config = make_config({"precision": precision, "bp_tail": bp_tail, "batch_size": batch, **options})
    module, model = PRECISIONS[precision], models.of_run(config)
    train_step, settings = step_function(config, module, 0)
    weights, step = module.initialise(config), 0
    images, labels = peak.random_batch(config)

    def make():
        nonlocal step
        train_step(model, bp_tail, weights, images, labels, config.seed, step, settings)
        step += 1
    return make


class Stopwatch:
    """Times functions by the part of a step they belong to; a function's time does not count to its caller's part."""

    def __init__(self):
        self.taken, self.inner = dict.fromkeys(PARTS, 0.0), [0.0]

    def timed(self, part, function):
        def call(*args, **kwargs):
            self.inner.append(0.0)
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                taken = time.perf_counter() - started
                self.taken[part] += taken - self.inner.pop()
                self.inner[-1] += taken
        return call

    @contextlib.contextmanager
    def watching(self, precision):
        """Within it, the functions of a precision are timed."""
        zo, layers = (int8_zo, int8_layers) if precision == "int8" else (fp32_zo, fp32_layers)
        places = {"draws": ((rng, "group_words"), (rng, "z_of"), (zo, "box_muller")),
                  "perturb": ((zo, "change_theta"),),
                  "patches": ((layers, "patches"),),
                  "matmul": ((layers, "conv2d"), (layers, "linear")),
                  "requantise": ((layers, "requantise"),),
                  "pooling": ((layers, "max_pool2d"), (layers, "relu"), (layers, "flatten")),
                  "loss": ((zo, "cross_entropy"),),
                  "tail": ((zo, "tail_gradients"), (zo, "gradient_step"), (zo, "update_tail"))}
        found = [(module, name, getattr(module, name), part) for part, names in places.items()
                 for module, name in names if hasattr(module, name)]
        losses = dict(int8_loss.LOSSES)
        try:
            for module, name, function, part in found:
                setattr(module, name, self.timed(part, function))
            int8_loss.LOSSES.update({name: self.timed("loss", loss) for name, loss in losses.items()})
            yield
        finally:
            int8_loss.LOSSES.update(losses)
            for module, name, function, _ in found:
                setattr(module, name, function)


def parts_of(precision, bp_tail, batch, rounds):
    """{part: median milliseconds} of a step on one thread."""
    make, taken = step_of(precision, bp_tail, batch), []
    with threads(1):
        make()
        for _ in range(rounds):
            watch = Stopwatch()
            with watch.watching(precision):
                whole = seconds(make)
            watch.taken["rest"] = whole - sum(watch.taken.values())
            taken.append(watch.taken)
    return {part: round(1000 * median([one[part] for one in taken]), 4) for part in PARTS}


def tiled_matmul(a, b):
    """The integer product, its columns cut over the threads as tiles of a batch are."""
    tiles.for_tiles(b.shape[1], -(-b.shape[1] // tiles.threads()), lambda columns: matmul(a, b[:, columns]))


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


def line_through(batches, times):
    """(a, b, worst): t = a + b N by least squares on relative errors, and how far b is off between neighbours."""
    n, t = np.array(batches, float), np.array(times)
    a, b = np.linalg.lstsq(np.stack([1 / t, n / t], axis=1), np.ones_like(t), rcond=None)[0]
    slopes = np.diff(t) / np.diff(n)
    return float(a), float(b), float(np.abs(slopes / b - 1).max())


def memory_ratios():
    """Peaks at batch 32 and their ratios, measured by tracemalloc on one thread, where they are the same every time.

    With more threads a peak depends on when their own meet: `.._all_threads` is what several steps came to.
    """
    ratios = {}

    def measured(precision, bp_tail, infer=False, steps=12):
        config = make_config({"precision": precision, "bp_tail": bp_tail, "batch_size": 32})
        return peak.measure(config, steps, infer)

    for precision in PRECISIONS:
        ratios[f"peak_{precision}_mb_all_threads"] = measured(precision, 0, steps=100) / 1e6
        with threads(1):
            zo = measured(precision, 0)
            ratios[f"peak_{precision}_mb"] = zo / 1e6
            ratios |= {f"overhead_k{k}_{precision}": measured(precision, k) / zo - 1 for k in (1, 2, 3)}
            ratios[f"zo_over_inference_{precision}"] = zo / measured(precision, 0, infer=True) - 1
            ratios[f"full_bp_over_k0_{precision}"] = measured(precision, BP) / zo
    ratios["peak_fp32_over_int8"] = ratios["peak_fp32_mb"] / ratios["peak_int8_mb"]
    return ratios


def measured_step(precision, bp_tail, batch, times, parts=None):
    """The row of a configuration whose steps took `times` seconds."""
    return {"precision": precision, "bp_tail": bp_tail, "batch": batch, "milliseconds": round(1000 * median(times), 3),
            "spread": spread(times), "microseconds_an_image": round(1e6 * median(times) / batch, 2),
            "images_a_second": round(batch / median(times)), "parts": parts}


def run(batches, rounds):
    """The whole benchmark as one mapping; `ratios` has what is to be compared, by name."""
    works = {(precision, bp_tail, batch): step_of(precision, bp_tail, batch)
             for batch in batches for precision in PRECISIONS for bp_tail in TAILS}
    taken, steps, ratios = interleaved(works, rounds), [], {}
    for (precision, bp_tail, batch), times in taken.items():
        parts = None if bp_tail == BP else parts_of(precision, bp_tail, batch, max(3, rounds // 3))
        steps.append(measured_step(precision, bp_tail, batch, times, parts))
    for batch in batches:
        for bp_tail in TAILS:
            pairs = [i / f for i, f in zip(taken["int8", bp_tail, batch], taken["fp32", bp_tail, batch])]
            ratios[f"int8_over_fp32_k{bp_tail}_b{batch}"] = median(pairs)
    matmuls, by_shape = matmul_ratios(max(1, rounds // 5))
    ratios |= matmuls
    fit = interleaved({(precision, batch): step_of(precision, 2, batch) for precision in PRECISIONS
                       for batch in FIT_BATCHES}, max(1, rounds // 2))
    for precision in PRECISIONS:
        a, b, worst = line_through(FIT_BATCHES, [median(fit[precision, batch]) for batch in FIT_BATCHES])
        ratios |= {f"step_a_us_{precision}": 1e6 * a, f"step_b_us_{precision}": 1e6 * b,
                   f"step_b_deviation_{precision}": worst,
                   f"epoch_k2_b64_s_{precision}": median(fit[precision, 64]) * -(-MNIST_IMAGES // 64)}
    ratios |= memory_ratios()
    return {"threads": tiles.threads(), "python": sys.version.split()[0], "numpy": np.__version__, "rounds": rounds,
            "steps": steps, "ratios": {name: round(value, 4) for name, value in ratios.items()},
            "matmul_by_shape": by_shape, "kernels": kernel_rates(max(3, rounds))}


def step_line(step):
    """A row of steps as text."""
    low, high = step["spread"]
    return "  ".join((f"{step['precision']:9}{step['bp_tail']!s:>4}{step['batch']:7}{step['milliseconds']:10.2f} "
                      f"({low:.2f} {high:.2f}){step['microseconds_an_image']:10.1f}{step['images_a_second']:10,}",
                      *(f"{step['parts'][part]:10.3f}" for part in PARTS if step["parts"])))


def report(result):
    """The lines of the `bench` command."""
    yield (f"LeNet-5, {result['threads']} thread{'s' * (result['threads'] > 1)}, NumPy {result['numpy']}, medians of "
           f"{result['rounds']} interleaved rounds; parts of a step in ms on one thread")
    yield "  ".join(("precision   K  batch   ms/step (quartiles)  us/image  images/s", *(f"{p:>10}" for p in PARTS)))
    yield from map(step_line, result["steps"])
    yield ""
    for group in ("ratios", "kernels"):
        yield from (f"{name:32}{value:12.4g}" for name, value in result[group].items())
