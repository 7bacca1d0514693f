"""ElasticZO in FP32: one training step, read top to bottom like the algorithm.

    theta += eps z;   forward    -> L+
    theta -= 2 eps z; forward    -> L-
    tail  -= eta_tail * the tail's gradient of that second pass
    g = clip((L+ - L-) / (2 eps))
    theta += (eps - eta g) z, which restores and updates in one pass

theta are the parameters below the tail. z is a standard normal perturbation; it is never stored, but drawn again from
(seed, step) each time: three draws a step. After perturbing and restoring, theta is within 2 ulp of
max(|theta|, eps |z|) of what it was. Variants of this step, such as the frozen control, are in variants.py.
"""
import functools
import math
from typing import NamedTuple

import numpy as np

from .. import models
from ..errors import Diverged
from . import layers, tail, tiled
from .draws import perturbation_in_turn
from .loss import cross_entropy
from .points import update_running

REMEDY = "lower --eta or --eta-tail, or clip g more with --clip"


class Settings(NamedTuple):
    """The settings of one step; the schedules change them from epoch to epoch."""
    eps: float            # length of the perturbation, in units of a parameter
    eta: float            # ZO learning rate
    clip: float           # largest |g|
    eta_tail: float       # learning rate of the tail


def train_step(model, bp_tail, weights, images, labels, seed, step, settings, record=None):
    """One step of ElasticZO on one batch; changes `weights` in place.

    images: (N, C, H, W) uint8, or clouds (N, P, 3) float32; the last batch of an epoch may be smaller.
    labels: (N,) uint8, or uint16 of more than 256 classes.  step: from 0, over the whole run.
    Batch norm uses the batch's own statistics in every pass; the last pass alone moves the running ones, once a step.
    record: None, or called as record(phase, op, name, value) with every tensor of both passes, for golden vectors;
        the phases are "plus" and "minus", a value is an array, a float or a mapping of these.
    Returns (L+, L-, g), Python floats.  Raises Diverged if a loss is not finite.
    """
    zo_names, statistics = zo_tensors(model, bp_tail), {}
    perturb(weights, zo_names, +1, seed, step, settings)
    loss_plus = forward_pass("plus", model, bp_tail, weights, images, labels, step, statistics, record)[0]
    perturb(weights, zo_names, -2, seed, step, settings)
    # The pass that gave L+ keeps nothing.
    loss_minus, *kept = forward_pass("minus", model, bp_tail, weights, images, labels, step, statistics, record)
    train_tail(model, bp_tail, weights, *kept, labels, settings, record)
    g = zo_gradient(loss_plus, loss_minus, settings)
    restore_and_update(weights, zo_names, g, seed, step, settings)
    update_running(weights, statistics)
    return loss_plus, loss_minus, g


def perturb(weights, zo_names, times, seed, step, settings, query=0):
    """theta += times * eps * z, in place.  times: +1 or -2.  query: which z, if a step has several."""
    add_z(weights, zo_names, times * settings.eps, seed, step, query)


def zo_gradient(loss_plus, loss_minus, settings):
    """g, the ZO gradient along z: the slope (L+ - L-) / 2 eps, clipped to +-clip.  Returns a float."""
    return max(-settings.clip, min(settings.clip, (loss_plus - loss_minus) / (2 * settings.eps)))


def restore_and_update(weights, zo_names, g, seed, step, settings):
    """theta += (eps - eta g) z, in place: what is left of the perturbation goes, and the step is made."""
    add_z(weights, zo_names, settings.eps - settings.eta * g, seed, step)


def add_z(weights, zo_names, scale, seed, step, query=0):
    """theta += scale * z, in place, piece by piece: no z of a whole layer exists.  zo_names: see `zo_tensors`."""
    for tensor, name in zo_names:
        theta = weights[name].reshape(-1)
        for piece, z in perturbation_in_turn(seed, step, tensor, query, theta.size):
            z *= np.float32(scale)
            theta[piece] += z
            del z   # before the next piece is drawn


def zo_tensors(model, bp_tail):
    """[(index in the model, name)] of every parameter below the tail, in parameter order."""
    head, _ = models.split_tail(model.layers, bp_tail)
    return list(enumerate(f"{layer.name}.{part}" for layer in head for part in layers.parameters(layer)))


def forward_pass(phase, model, bp_tail, weights, images, labels, step, statistics, record=None):
    """One forward pass.  Returns (loss, logits, [the input of each linear layer of the tail]).

    With a record it runs layer by layer on the whole batch (layers.py), else by tiles (tiled.py).
    statistics: a mapping that gets the batch's own of each batch norm.  Raises Diverged if the loss is not finite.
    """
    head, of_tail = models.split_tail(model.layers, bp_tail)
    x, inputs = images, []
    forward = tiled.forward
    if record:
        note = functools.partial(record, phase)
        note("weights", None, weights)
        x = layers.network_input(images)
        note("input", None, x)
        forward = functools.partial(layers.forward, record=note)
    logits = forward(of_tail, weights, forward(head, weights, x, statistics=statistics), inputs)
    loss = cross_entropy(logits, labels)
    if not math.isfinite(loss):
        raise Diverged(f"the loss of step {step} is {loss}: the run has diverged; {REMEDY}")
    if record:
        note("loss", None, loss)
    return loss, logits, inputs


def train_tail(model, bp_tail, weights, logits, inputs, labels, settings, record=None):
    """Updates the tail, in place, by the gradients of the pass that gave `logits` and `inputs`.

    With a record it works on whole tensors (tail.py), else on a piece of a gradient at a time (tiled.py).
    """
    _, of_tail = models.split_tail(model.layers, bp_tail)
    if record:
        note = functools.partial(record, "minus")
        tail.update_tail(weights, tail.tail_steps(of_tail, weights, logits, inputs, labels, settings.eta_tail, note))
    else:
        tiled.train_tail(of_tail, weights, logits, inputs, labels, settings.eta_tail)
