"""The bytes that a training step holds at its largest, measured: what Python's tracemalloc sees of it, arrays and objects.

What BLAS allocates for itself is in the resident set alone.
"""
import tracemalloc

import numpy as np

from .. import models
from ..run.steps import PRECISIONS, settings_of
from ..tiles import threads


def measure(config, method, steps=12, infer=False):
    """The peak that tracemalloc sees over training steps on random images (or over forward passes), in bytes.

    On one thread all steps are alike: the median of their peaks. On several it depends on when the threads' own peaks
    meet: the second largest.  The first steps, which also load code and make threads, are not counted.
    steps: at least 3.
    method: the steps.Method of the Config.
    """
    precision, model = PRECISIONS[config.precision], models.of_run(config)
    settings = settings_of(config, method, 0)
    peaks, at_first = [], None

    def run(step):
        if infer:
            precision.classify(model, weights, images)
        else:
            method.train_step(model, config.bp_tail, weights, images, labels, config.seed, step, settings)

    weights, (images, labels) = precision.initialise(config), random_batch(config)
    run(0)
    tracemalloc.start()
    try:
        weights, (images, labels) = precision.initialise(config), random_batch(config)
        run(0)
        for step in range(1, steps + 1):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            at_first = at_first or before
            run(step)
            peaks.append(tracemalloc.get_traced_memory()[1] - (before - at_first))
    finally:
        tracemalloc.stop()
    return sorted(peaks)[-2 if threads() > 1 else len(peaks) // 2]


def random_batch(config):
    """(images or clouds, labels) at random, so that no data set is needed: a batch as `train_step` takes it."""
    model, draw = models.of_run(config), np.random.default_rng(0)
    images = draw.integers(0, 256, (config.batch_size, *model.input_shape), dtype=np.uint8)
    if models.takes_points(model):
        clouds = (images / np.float32(255) - np.float32(0.5)) * np.float32(1.15)
        images = PRECISIONS[config.precision].decode_clouds(clouds)
    return images, draw.integers(0, model.classes, config.batch_size).astype(np.uint8)
