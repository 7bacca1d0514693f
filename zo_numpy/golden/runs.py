"""Tier 3: the step log of a whole run, and replay, which rebuilds the weights of a vanilla-ZO run from it.

A folder tests/golden/runs/NAME holds a run's config.json and steps.txt. Checking makes the run again and compares the
log line by line, digests included. Replay needs no data and no forward pass: with K = 0 a step is decided by its one
sign g, and z is a function of (seed, step), so the log of signs *is* the training.
"""
import functools
import itertools
import re

import numpy as np

from .. import models, rng
from ..errors import UserError
from ..int8 import elastic_zo
from ..int8.arith import INT8_MAX, bit_width, pseudo_stochastic_shift
from ..run_folder import STEPS, digest
from ..steps import DIGEST_EVERY, PRECISIONS, log_line, one_step, parts, steps_in_epoch

LINE = re.compile(r"(\d{1,12}) (\S{1,40}) (\S{1,40}) (-1|0|1)(?: ([0-9a-f]{64}))?")


def made_lines(config, dataset):
    """Makes a run again, from its first step; yields its log lines, without their line ends."""
    precision = PRECISIONS[config.precision]
    weights = precision.initialise(config)
    (images, labels), *_ = parts(config, dataset)
    total = config.epochs * steps_in_epoch(config, len(labels))
    for step in range(total):
        outcome = one_step(config, precision, weights, images, labels, step)
        yield log_line(step + 1, total, outcome, lambda: digest(precision.to_arrays(weights)[0]))


def first_difference(path, config, dataset):
    """(steps compared, the first line that differs as a sentence or None) of a committed run, made again."""
    expected = path.read_text().splitlines()
    made = 0
    for line, again in itertools.zip_longest(expected, made_lines(config, dataset)):
        if line != again:
            return made, f"line {made + 1}: expected {line!r}, got {again!r}"
        made += 1
    return made, None


@functools.lru_cache(maxsize=4)
def update_table(r_max, p_zero, b_zo):
    """What each of the 65,536 half-words adds to a weight at g = -1: z drawn and scaled to b_zo bits.  (65536,) int8."""
    z = rng.perturbation_table(r_max, p_zero)
    return pseudo_stochastic_shift(z, max(0, bit_width(r_max) - b_zo))


def read_signs(path, steps):
    """Yields (step, g, digest or None) of each line of a step log.  Raises UserError naming the first bad line."""
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            match = LINE.fullmatch(line[:300].decode("ascii", "replace").rstrip("\n"))
            if not match or int(match[1]) != number or number >= steps:
                raise UserError(f"{path}, line {number + 1} is not the log of step {number}; the log cannot be replayed")
            yield number, int(match[4]), match[5]


def replay(path, config, training_samples):
    """Rebuilds the weights of a vanilla-ZO INT8 run from its configuration and its log.

    path: the run's folder.  training_samples: how many samples it trained on, which fixes its epochs.
    Returns (weights, steps replayed, steps of the whole run).  Raises UserError if the run has a tail (its updates
    need the data), if the log is damaged, or at the first digest that does not come out.
    """
    if config.precision != "int8" or config.bp_tail:
        raise UserError(f"{path} is a run of {config.precision} with --bp-tail {config.bp_tail}: only INT8 runs with "
                        "--bp-tail 0 can be replayed, as a tail's updates need the data")
    model = models.MODELS[config.model]
    weights = elastic_zo.initialise(config)
    zo_names = elastic_zo.zo_tensors(model, 0)
    bound = INT8_MAX - max(config.schedules["r_max"])
    epoch_steps = steps_in_epoch(config, training_samples)
    total, made = config.epochs * epoch_steps, 0
    for step, g, expected in read_signs(path / STEPS, total):
        table = update_table(*(config.at(name, step // epoch_steps) for name in ("r_max", "p_zero", "b_zo")))
        for tensor, name in zo_names if g else ():
            theta = weights[name].data.reshape(-1)
            theta -= np.int8(g) * table.take(rng.half_words(config.seed, rng.PERTURB, step, tensor, 0, theta.size))
            np.clip(theta, -bound, bound, out=theta)
        made = step + 1
        if expected and digest(elastic_zo.to_arrays(weights)[0]) != expected:
            raise UserError(f"{path / STEPS}: after step {step} the weights do not have the digest of the log; its "
                            f"lines since the digest before, or {path / 'config.json'}, are not those of the run")
        if not expected and (made % DIGEST_EVERY == 0 or made == total):
            raise UserError(f"{path / STEPS}, line {made}: the digest is missing; the log cannot be trusted")
    return weights, made, total
