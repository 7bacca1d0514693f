"""What a step costs in bytes when both forward passes give the tail's gradient, against the second alone.

    python -m experiments.step_bytes

writes results/step_bytes.json, of LeNet-5 at a batch of 64: for each precision, K and choice of passes the bytes of the
tail's steps that are held while the ZO layers run again (`held`), and the largest number of bytes that one step has
allocated at a time, weights and images not counted (`peak`, by tracemalloc, on one thread).
"""
import argparse
import os
import tracemalloc

import numpy as np

from experiments.common import save_result
from zo_numpy.app.methods import method_of
from zo_numpy.app.progress import say
from zo_numpy.models import MODELS
from zo_numpy.run.config import CHOICES, make_config
from zo_numpy.run.steps import PRECISIONS

BATCH = 64


def step_bytes(config):
    """{"held": bytes, "peak": bytes} of one step on made-up images."""
    precision, model, train_step = PRECISIONS[config.precision], MODELS[config.model], method_of(config).train_step
    weights, settings, held = precision.initialise(config), precision.settings_at(config, 0), []
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (BATCH, *model.input_shape), np.uint8)
    labels = draw.integers(0, model.classes, BATCH).astype(np.uint8)

    def record(phase, op, name, value):
        if phase == "plus" and op == "gradient_step":
            held.append(sum(step.nbytes for step in value.values()))

    given = model, config.bp_tail, weights, images, labels, 0
    train_step(*given, 0, settings, record)      # also fills what is kept from step to step
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    train_step(*given, 1, settings)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"held": sum(held), "peak": peak - before}


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    os.environ["ZO_NUMPY_THREADS"] = "1"
    rows = {}
    for precision in ("int8", "fp32"):
        for k in (1, 2):
            for passes in CHOICES["tail_passes"]:
                config = make_config(dict(precision=precision, bp_tail=k, tail_passes=passes, batch_size=BATCH))
                rows[f"{precision}-k{k}-{passes}"] = step_bytes(config)
    say(f"wrote {save_result('step_bytes', {'experiment': 'step_bytes', 'batch_size': BATCH, 'rows': rows})}")


if __name__ == "__main__":
    main()
