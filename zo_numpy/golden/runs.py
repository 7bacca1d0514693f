"""Tier 3: the step log of a whole run, and replay, which rebuilds the weights of a vanilla-ZO run from it.

A folder tests/golden/runs/NAME holds a run's config.json, its steps.txt, and evaluation.txt: a line an epoch, `epoch
right total`, how many of the samples reported on are classified right, and in some a last line `alone right total`, the
same one sample at a time. Checking makes the run again and compares both
line by line, in FP32 within the tolerances of tolerances.py and without digests, which rest on last bits. Replay, of
INT8, needs no data and no forward pass: with K = 0 a step is decided by its signs g, and z is a function of (seed,
step), so the log of signs *is* the training.
"""
import functools
import re

import numpy as np

from .. import models, rng
from ..errors import UserError
from ..int8 import precision as int8
from ..int8.arith import INT8_MAX, bit_width, pseudo_stochastic_shift
from ..int8.draws import perturbation_table
from ..run.checkpoint import CHECKPOINT, digest, read_checkpoint
from ..run.folder import CONFIG, STEPS
from ..run.steps import DIGEST_EVERY, PRECISIONS, log_line, one_step, parts, steps_in_epoch
from ..run.trainer import count_correct, first_weights
from .tolerances import Tolerances

EVALUATION = "evaluation.txt"
LINE = re.compile(r"(\d{1,12}) (\S{1,40}) (\S{1,40}) ((?:-1|0|1)(?:,(?:-1|0|1)){0,63})(?: ([0-9a-f]{64}))?\n?")


def made_lines(config, method, dataset, alone=False):
    """Makes a run again by a Method, from its first step; yields (file, line) of its steps and evaluations, line ends
    included.  alone: whether the last line is of the samples classified one at a time.
    """
    precision, model = PRECISIONS[config.precision], models.of_run(config)
    weights = first_weights(config)
    (images, labels), (seen, classes), _ = parts(config, dataset)
    in_epoch = steps_in_epoch(config, len(labels))
    total = config.epochs * in_epoch
    for step in range(total):
        outcome = one_step(config, method, weights, images, labels, step)
        line = log_line(step + 1, total, outcome, lambda: digest(precision.to_arrays(weights)[0]))
        yield STEPS, (line if config.precision == "int8" else " ".join(line.split()[:4])) + "\n"
        if (step + 1) % in_epoch == 0:
            right = count_correct(precision, model, weights, seen, classes)
            yield EVALUATION, f"{step // in_epoch} {right} {len(classes)}\n"
    if alone:
        right = count_correct(precision, model, weights, seen, classes, batch=1)
        yield EVALUATION, f"alone {right} {len(classes)}\n"


def committed_lines(path):
    """The lines of a committed file with their line ends.  Raises UserError."""
    try:
        return re.findall(r"[^\n]*\n|[^\n]+", path.read_bytes().decode("ascii", "backslashreplace"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; restore it, or write it anew with `make golden-update`") from None


def first_difference(folder, config, method, dataset, alone=False):
    """(lines compared, the first line that differs as a sentence or None) of a committed run, made again.

    alone: as of `made_lines`.
    """
    expected = {name: committed_lines(folder / name) for name in (STEPS, EVALUATION)}
    made = dict.fromkeys(expected, 0)
    tolerances = Tolerances(config.schedules) if config.precision == "fp32" else None
    for name, line in made_lines(config, method, dataset, alone):
        found = "".join(expected[name][made[name]:made[name] + 1])   # '' where there are no more
        if found != line and not (tolerances and tolerances.line(found, line)):
            return sum(made.values()), f"{name}, line {made[name] + 1}: expected {found[:200]!r}, got {line!r}"
        made[name] += 1
    for name, lines in expected.items():
        if lines[made[name]:]:
            return sum(made.values()), f"{name}, line {made[name] + 1}: the run has no more lines"
    return sum(made.values()), None


@functools.lru_cache(maxsize=4)
def update_table(r_max, p_zero, b_zo):
    """What each of the 65,536 half-words adds to a weight at g = -1, int8: z drawn and scaled to b_zo bits."""
    z = perturbation_table(r_max, p_zero)
    return pseudo_stochastic_shift(z, max(0, bit_width(r_max) - b_zo))


def _read_signs(path, steps, queries):
    """Yields (step, signs, digest or None) of each line of a step log.  Raises UserError naming the first bad line."""
    number = -1
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file):
                match = LINE.fullmatch(line[:400].decode("ascii", "replace"))
                signs = [int(sign) for sign in match[4].split(",")] if match else []
                if not match or int(match[1]) != number or number >= steps or len(signs) != queries:
                    raise UserError(f"{path}, line {number + 1} is not the log of step {number} of {steps:,}; the log "
                                    "cannot be replayed")
                yield number, signs, match[5]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give a run folder that `train` made") from None
    if number < 0:
        raise UserError(f"{path} is empty: there is no step to replay; train first")


def replay(path, config, training_samples):
    """Rebuilds the weights of a vanilla-ZO INT8 run from its configuration and its log.

    path: the run's folder.  training_samples: how many samples it trained on, which fixes its epochs.
    Returns (weights, steps replayed, steps of the whole run).  Raises UserError if the run has a tail (its updates
    need the data), if the log is damaged or has fewer steps than the run, or at the first digest that does not come
    out.
    """
    if config.precision != "int8" or config.bp_tail:
        raise UserError(f"{path} is a run of {config.precision} with --bp-tail {config.bp_tail}: only INT8 runs with "
                        "--bp-tail 0 can be replayed, as a tail's updates need the data")
    if training_samples < 1:
        raise UserError(f"{path / CONFIG} says that the run has {training_samples} training samples; give a run "
                        "folder that `train --out` made")
    weights = first_weights(config)
    zo_names = int8.zo_tensors(models.of_run(config), 0)
    bound = INT8_MAX - max(config.schedules["r_max"])
    epoch_steps = steps_in_epoch(config, training_samples)
    total, made = config.epochs * epoch_steps, 0
    for step, signs, expected in _read_signs(path / STEPS, total, config.queries):
        table = update_table(*(config.at(name, step // epoch_steps) for name in ("r_max", "p_zero", "b_zo")))
        for tensor, name in zo_names if any(signs) else ():
            theta = weights[name].data.reshape(-1)
            move = sum_of_steps(table, signs, config.seed, step, tensor, theta.size)
            np.clip(theta - move, -bound, bound, out=theta)
        made = step + 1
        if expected and digest(int8.to_arrays(weights)[0]) != expected:
            raise UserError(f"{path / STEPS}: after step {step} the weights do not have the digest of the log; its "
                            f"lines since the digest before, or {path / CONFIG}, are not those of the run")
        if not expected and (made % DIGEST_EVERY == 0 or made == total):
            raise UserError(f"{path / STEPS}, line {made}: the digest is missing; the log cannot be trusted")
    counted = read_checkpoint(path / CHECKPOINT)[1]["step"] if (path / CHECKPOINT).exists() else total
    if made < counted:
        raise UserError(f"{path / STEPS} ends after {made:,} of {counted:,} steps: it is cut off; restore it, or "
                        "finish a run that was interrupted")
    return weights, made, total


def sum_of_steps(table, signs, seed, step, tensor, size):
    """What a step takes from the weights of one tensor: the scaled z of each query times its sign.

    Returns (size,), int8 of one query, where 127 - R + R stays in range, int16 of several.
    """
    total = np.int8(0) if len(signs) == 1 else np.zeros(size, np.int16)
    for query, sign in enumerate(signs):
        if sign:
            moved = table.take(rng.half_words(seed, rng.PERTURB, step, tensor, query, size))
            total = total + np.int8(sign) * moved
    return total
