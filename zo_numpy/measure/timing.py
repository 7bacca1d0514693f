"""Seconds: of functions in turn, and of the parts of a training step."""
import contextlib
import os
import statistics
import time
import types

from ..fp32 import elastic_zo as fp32_zo, layers as fp32_layers
from ..int8 import elastic_zo as int8_zo, layers as int8_layers, loss as int8_loss, tiled as int8_tiled

# The functions of a part of a step, by precision: whoever calls one finds it under this name in this module.
PLACES = {
    "int8": {"draws": ((int8_zo, "perturbation_in_turn"),),
             "perturb": ((int8_zo, "perturb"), (int8_zo, "restore_and_update")),
             "patches": ((int8_layers, "patches"),),
             "matmul": ((int8_layers, "conv2d"), (int8_layers, "linear")),
             "requantise": ((int8_tiled, "keep"), (int8_tiled, "finish"), (int8_tiled, "requantise")),
             "pooling": ((int8_layers, "max_pool2d"), (int8_layers, "relu"), (int8_layers, "flatten")),
             "tail": ((int8_zo, "train_tail"),)},
    "fp32": {"draws": ((fp32_zo, "perturbation_in_turn"),),
             "perturb": ((fp32_zo, "perturb"), (fp32_zo, "restore_and_update")),
             "patches": ((fp32_layers, "patches"),),
             "matmul": ((fp32_layers, "conv2d"), (fp32_layers, "linear")),
             "pooling": ((fp32_layers, "max_pool2d"), (fp32_layers, "relu"), (fp32_layers, "flatten")),
             "loss": ((fp32_zo, "cross_entropy"),),
             "tail": ((fp32_zo, "train_tail"),)},
}
PARTS = ("draws", "perturb", "patches", "matmul", "requantise", "pooling", "loss", "tail", "rest")


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


class Stopwatch:
    """Times functions by the part of a step they belong to; a function's time does not count to its caller's part."""

    def __init__(self):
        self.taken, self.inner = dict.fromkeys(PARTS, 0.0), [0.0]

    def timed(self, part, function):
        """The function, timed; of one that yields, each value."""
        def call(*args, **kwargs):
            self.inner.append(0.0)
            started = time.perf_counter()
            try:
                result = function(*args, **kwargs)
            finally:
                taken = time.perf_counter() - started
                self.taken[part] += taken - self.inner.pop()
                self.inner[-1] += taken
            return self.each(part, result) if isinstance(result, types.GeneratorType) else result
        return call

    def each(self, part, values):
        """The values of a generator, each timed."""
        following, end = self.timed(part, lambda: next(values, end)), object()
        while (value := following()) is not end:
            yield value

    @contextlib.contextmanager
    def watching(self, precision):
        """Within it, the functions of a precision are timed."""
        found = [(module, name, getattr(module, name), part) for part, names in PLACES[precision].items()
                 for module, name in names]
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
