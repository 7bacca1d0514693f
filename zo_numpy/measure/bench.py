"""How long a training step takes, on what, and the ratios that say whether that is much.

Everything is measured in one process on random samples, interleaved: each round makes one step of every configuration,
so that a machine that slows down slows all of them; medians over the rounds, and quartiles as their spread. Trust the
ratios, not the milliseconds. The shares of a step are measured on one thread, where they add up. What limits INT8 is
the integer product, see kernels.py.

method_of, an argument throughout, gives the steps.Method of a Config; tails are the K that are measured.
"""
import functools
import math
import sys

import numpy as np

from .. import models, tiles
from ..run.config import BP, make_config
from ..run.steps import PRECISIONS, settings_of
from . import peak
from .kernels import BARE, bare_einsum, kernel_rates, matmul_ratios
from .timing import PARTS, Stopwatch, interleaved, median, seconds, spread, threads

TAILS = (0, 1, 2, 3, BP)
FIT_BATCHES = (32, 64, 128, 256, 512, 1024)
MNIST_IMAGES = 60_000
PEAK_BATCHES = {32: "", 1: "_b1", 256: "_b256"}   # and how the names of their ratios end
CLOUDS, CLOUDS_BATCH = {"model": "pointnet", "data": "modelnet40", "points": 1024}, 32


def images(batches, rounds, method_of, tails=TAILS):
    """The benchmark of LeNet-5 as one mapping; `ratios` has what is to be compared, by name."""
    works = {(precision, bp_tail, batch): step_of(method_of, precision, bp_tail, batch)
             for batch in batches for precision in PRECISIONS for bp_tail in tails}
    taken, steps, ratios = interleaved(works, rounds), [], {}
    for (precision, bp_tail, batch), times in taken.items():
        parts = None if bp_tail == BP else _parts_of(method_of, precision, bp_tail, batch, max(3, rounds // 3))
        steps.append(_measured_step(precision, bp_tail, batch, times, parts))
    for batch in batches:
        for bp_tail in tails:
            pairs = [i / f for i, f in zip(taken["int8", bp_tail, batch], taken["fp32", bp_tail, batch])]
            ratios[f"int8_over_fp32_k{bp_tail}_b{batch}"] = median(pairs)
    matmuls, by_shape = matmul_ratios(max(1, rounds // 5))
    ratios |= matmuls
    fit = interleaved({(precision, batch): step_of(method_of, precision, 2, batch) for precision in PRECISIONS
                       for batch in FIT_BATCHES}, max(1, rounds // 2))
    for precision in PRECISIONS:
        a, b, worst = line_through(FIT_BATCHES, [median(fit[precision, batch]) for batch in FIT_BATCHES])
        ratios |= {f"step_a_us_{precision}": 1e6 * a, f"step_b_us_{precision}": 1e6 * b,
                   f"step_b_deviation_{precision}": worst,
                   f"epoch_k2_b64_s_{precision}": median(fit[precision, 64]) * -(-MNIST_IMAGES // 64)}
    ratios |= _thread_ratios(method_of, batches, rounds)
    ratios["einsum_share_b256"] = _einsum_share(method_of, max(3, rounds // 3), 256)
    ratios |= _memory_ratios(method_of, tails)
    return {"threads": tiles.threads(), "python": sys.version.split()[0], "numpy": np.__version__, "rounds": rounds,
            "steps": steps, "ratios": {name: round(value, 4) for name, value in ratios.items()},
            "matmul_by_shape": by_shape, "kernels": kernel_rates(max(3, rounds))}


def clouds(rounds, method_of, tails=TAILS):
    """The benchmark of PointNet as one mapping; a cloud counts as an image."""
    taken = interleaved({(precision, bp_tail): step_of(method_of, precision, bp_tail, CLOUDS_BATCH, **CLOUDS)
                         for precision in PRECISIONS for bp_tail in tails}, rounds)
    ratios = {f"pointnet_int8_over_fp32_k{bp_tail}_b{CLOUDS_BATCH}":
              median([i / f for i, f in zip(taken["int8", bp_tail], taken["fp32", bp_tail])]) for bp_tail in tails}
    ratios["pointnet_einsum_share"] = _einsum_share(method_of, max(3, rounds // 3), CLOUDS_BATCH, **CLOUDS)
    with threads(1):
        ratios |= _peak_ratios(method_of, CLOUDS_BATCH, tails, "pointnet_", 3, **CLOUDS)
    return {"pointnet": {**CLOUDS, "batch": CLOUDS_BATCH, "rounds": rounds},
            "pointnet_steps": [_measured_step(*key, CLOUDS_BATCH, times) for key, times in taken.items()],
            "ratios": {name: round(value, 4) for name, value in ratios.items()}}


def network(batches, rounds, method_of, options, full_bp):
    """The benchmark of one network alone, by the options that name it, in the form of `images`."""
    longest = models.longest_tail(models.of_run(make_config({"bp_tail": 0, **options})).layers)
    tails = (*range(longest + 1), *(BP,) * full_bp)
    taken = interleaved({(precision, k, batch): step_of(method_of, precision, k, batch, **options)
                         for batch in batches for precision in PRECISIONS for k in tails}, rounds)
    ratios = {f"int8_over_fp32_k{k}_b{batch}": median([i / f for i, f in zip(taken["int8", k, batch],
                                                                             taken["fp32", k, batch])])
              for batch in batches for k in tails}
    with threads(1):
        ratios |= _peak_ratios(method_of, min(batches), tails, "", 3, **options)
    return {"model": options["model"], "threads": tiles.threads(), "python": sys.version.split()[0],
            "numpy": np.__version__, "rounds": rounds,
            "steps": [_measured_step(*key, times) for key, times in taken.items()],
            "ratios": {name: round(value, 4) for name, value in ratios.items()}}


def step_of(method_of, precision, bp_tail, batch, **options):
    """A function that makes the next training step of its own run, of LeNet-5 by default, on random samples."""
    config = make_config({"precision": precision, "bp_tail": bp_tail, "batch_size": batch, **options})
    model, method = models.of_run(config), method_of(config)
    settings, weights, step = settings_of(config, method, 0), PRECISIONS[precision].initialise(config), 0
    samples, labels = peak.random_batch(config)

    def make():
        nonlocal step
        method.train_step(model, bp_tail, weights, samples, labels, config.seed, step, settings)
        step += 1
    return make


def _thread_ratios(method_of, batches, rounds):
    """How long a step of vanilla ZO takes on two threads, over the time on one, by precision and batch."""
    def on(workers, make):
        with threads(workers):
            make()

    ratios = {}
    for precision in PRECISIONS:
        for batch in batches:
            make = step_of(method_of, precision, 0, batch)
            taken = interleaved({workers: functools.partial(on, workers, make) for workers in (1, 2)}, rounds)
            ratios[f"two_threads_over_one_{precision}_b{batch}"] = median(
                [two / one for one, two in zip(taken[1], taken[2])])
    return ratios


def _einsum_share(method_of, rounds, batch, **options):
    """What share of NumPy's bare integer product a whole INT8 step of vanilla ZO reaches, on one thread: the products
    that its two forward passes need, by its time, over the rate of `kernels.bare_einsum`.
    """
    with threads(1):
        make = step_of(method_of, "int8", 0, batch, **options)
        taken = interleaved({"step": make, "einsum": bare_einsum()}, rounds)
    model = models.of_run(make_config({"precision": "int8", **options}))
    needed = 2 * batch * models.products(model.layers, model.input_shape)
    return needed / median(taken["step"]) / (math.prod(BARE) / median(taken["einsum"]))


def _parts_of(method_of, precision, bp_tail, batch, rounds):
    """{part: median milliseconds} of a step on one thread."""
    make, taken = step_of(method_of, precision, bp_tail, batch), []
    with threads(1):
        make()
        for _ in range(rounds):
            watch = Stopwatch()
            with watch.watching(precision):
                whole = seconds(make)
            watch.taken["rest"] = whole - sum(watch.taken.values())
            taken.append(watch.taken)
    return {part: round(1000 * median([one[part] for one in taken]), 4) for part in PARTS}


def _measured_step(precision, bp_tail, batch, times, parts=None):
    """The row of a configuration whose steps took `times` seconds."""
    return {"precision": precision, "bp_tail": bp_tail, "batch": batch, "milliseconds": round(1000 * median(times), 3),
            "spread": spread(times), "microseconds_an_image": round(1e6 * median(times) / batch, 2),
            "images_a_second": round(batch / median(times)), "parts": parts}


def line_through(batches, times):
    """(a, b, worst): t = a + b N by least squares on relative errors, and how far b is off between neighbours."""
    n, t = np.array(batches, float), np.array(times)
    a, b = np.linalg.lstsq(np.stack([1 / t, n / t], axis=1), np.ones_like(t), rcond=None)[0]
    slopes = np.diff(t) / np.diff(n)
    return float(a), float(b), float(np.abs(slopes / b - 1).max())


def _memory_ratios(method_of, tails):
    """Peaks and their ratios, measured by tracemalloc on one thread, where they are the same every time.

    At batch 32; at 1 and 256 under names that end in _b1 and _b256.
    With more threads a peak depends on when their own meet: `.._all_threads` is what several steps came to.
    """
    ratios = {f"peak_{precision}_mb_all_threads": _peak_of(method_of, precision, 0, 32, 100) / 1e6
              for precision in PRECISIONS}
    with threads(1):
        for batch, suffix in PEAK_BATCHES.items():
            ratios |= {name + suffix: value for name, value in _peak_ratios(method_of, batch, tails, "").items()}
    return ratios


def _peak_ratios(method_of, batch, tails, prefix, steps=12, **options):
    """Peaks of K = 0, what tails add to them, and how they compare with inference, full BP and each other."""
    ratios, zo = {}, {}
    for precision in PRECISIONS:
        peaks = {k: _peak_of(method_of, precision, k, batch, steps, **options) for k in tails}
        zo[precision], idle = peaks[0], _peak_of(method_of, precision, 0, batch, steps, infer=True, **options)
        ratios[f"{prefix}peak_{precision}_mb"] = peaks[0] / 1e6
        ratios |= {f"{prefix}overhead_k{k}_{precision}": peaks[k] / peaks[0] - 1 for k in tails if k not in (0, BP)}
        ratios[f"{prefix}zo_over_inference_{precision}"] = peaks[0] / idle - 1
        if BP in tails:
            ratios[f"{prefix}full_bp_over_k0_{precision}"] = peaks[BP] / peaks[0]
    return ratios | {f"{prefix}peak_fp32_over_int8": zo["fp32"] / zo["int8"]}


def _peak_of(method_of, precision, bp_tail, batch=32, steps=12, infer=False, **options):
    """What peak.measure gives of a configuration, LeNet-5 by default."""
    config = make_config({"precision": precision, "bp_tail": bp_tail, "batch_size": batch, **options})
    return peak.measure(config, method_of(config), steps, infer)


def report_network(result):
    """What `network` gave, as lines."""
    yield (f"{result['model']}, {result['threads']} thread{'s' * (result['threads'] > 1)}, NumPy {result['numpy']}, "
           f"medians of {result['rounds']} interleaved rounds; peaks at the smallest batch, on one thread")
    yield from map(_step_line, result["steps"])
    yield ""
    yield from _figures(result["ratios"])


def _step_line(step):
    """A row of steps as text."""
    low, high = step["spread"]
    return "  ".join((f"{step['precision']:9}{step['bp_tail']!s:>4}{step['batch']:7}{step['milliseconds']:10.2f} "
                      f"({low:.2f} {high:.2f}){step['microseconds_an_image']:10.1f}{step['images_a_second']:10,}",
                      *(f"{step['parts'][part]:10.3f}" for part in PARTS if step["parts"])))


def _figures(numbers):
    """{name: number} as lines."""
    return (f"{name:32}{value:12.4g}" for name, value in numbers.items())
