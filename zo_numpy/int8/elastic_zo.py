"""ElasticZO-INT8: one training step, read top to bottom like the algorithm.

    theta += z;   forward    -> L+
    theta -= 2 z; forward    -> L-
    tail  -= the tail's gradient of that second pass, scaled to b_bp bits
    g = sgn(L+ - L-)
    theta += z, then theta -= g * z scaled to b_zo bits

theta are the int8 weights below the tail. z is a sparse random int8 perturbation; it is never stored, but drawn again
from (seed, step) each time. All numbers are integers, from the images to the updated weights. Variants of this step,
such as the frozen control, are in variants.py.
"""
import functools
from typing import NamedTuple

import numpy as np

from .. import models
from . import layers, tail, tiled
from .arith import INT8_MAX, bit_width, pseudo_stochastic_shift
from .draws import perturbation_in_turn
from .loss import loss_named


class Settings(NamedTuple):
    """The settings of one step; the schedules change them from epoch to epoch."""
    r_max: int            # largest magnitude of z, 2^k - 1 with 1 <= k <= 6
    p_zero: int           # n of the probability n / 256 that an element of z is zero
    b_zo: int             # bits that are left of z in an update
    b_bp: int             # bits that are left of a tail gradient in an update, 1..7; running scale: -8..7
    r_limit: int          # R, the largest r_max of the whole schedule: ZO weights stay in +-(127 - R)
    loss: object = "integer"      # or "coarse", or a function like theirs in loss.py


def train_step(model, bp_tail, weights, images, labels, seed, step, settings, record=None):
    """One step of ElasticZO-INT8 on one batch; changes `weights` in place.

    weights: those below the tail within +-(127 - settings.r_limit), see precision.clip_for_zo; beyond it int8 wraps.
    images: (N, C, H, W) uint8, or clouds (N, P, 3) int8; the last batch of an epoch may be smaller (CHOICE 27).
    labels: (N,) uint8, or uint16 of more than 256 classes.  step: from 0, over the whole run.
    record: None, or called as record(phase, op, name, value) with every tensor of both passes, for golden vectors;
        the phases are "plus" and "minus", a value is an array, a QTensor, a Python int or a mapping of these.
    Returns (L+, L-, g): two Python ints in units of the loss, and -1, 0 or 1.
    """
    zo_names = zo_tensors(model, bp_tail)
    perturb(weights, zo_names, +1, seed, step, settings)
    loss_plus = forward_pass("plus", model, bp_tail, weights, images, labels, settings, record)[0]
    perturb(weights, zo_names, -2, seed, step, settings)
    # The pass that gave L+ keeps nothing (CHOICE 24).
    loss_minus, *kept = forward_pass("minus", model, bp_tail, weights, images, labels, settings, record)
    train_tail(model, bp_tail, weights, *kept, labels, settings, record)
    g = zo_gradient(loss_plus, loss_minus)
    restore_and_update(weights, zo_names, g, seed, step, settings)
    return loss_plus, loss_minus, g


def perturb(weights, zo_names, times, seed, step, settings, query=0):
    """theta += times * z, in place, piece by piece: no z of a whole layer exists.

    zo_names: see `zo_tensors`.  times: +1 or -2.  query: which z, if a step has several.
    """
    for tensor, name in zo_names:
        theta = weights[name].data.reshape(-1)
        for piece, z in perturbation_in_turn(seed, step, tensor, query, theta.size, settings):
            z *= np.int8(times)   # |2 z| <= 126: no wrap
            theta[piece] += z
            del z   # before the next piece is drawn


def zo_gradient(loss_plus, loss_minus):
    """g, the ZO gradient along z: the sign of L+ - L-, 0 where they are equal (CHOICE 23).  Returns -1, 0 or 1."""
    return (loss_plus > loss_minus) - (loss_plus < loss_minus)


def restore_and_update(weights, zo_names, g, seed, step, settings):
    """theta += z, which restores it exactly, then theta -= g * z scaled to b_zo bits, clipped to +-(127 - R)
    (CHOICE 25).

    g: -1, 0 or 1; with 0 it only restores.
    """
    shift, bound = zo_shift(settings), INT8_MAX - settings.r_limit
    for tensor, name in zo_names:
        theta = weights[name].data.reshape(-1)
        for piece, z in perturbation_in_turn(seed, step, tensor, 0, theta.size, settings):
            # |z| + |step| <= 126, and theta - step is within 127 - R + R: no int8 wraps.
            z -= np.int8(g) * pseudo_stochastic_shift(z, shift)
            z += theta[piece]
            theta[piece] = np.clip(z, -bound, bound, out=z)
            del z


def zo_shift(settings):
    """How many bits z is shifted by, so that b_zo bits are left as ZO's step."""
    return max(0, bit_width(settings.r_max) - settings.b_zo)


def zo_tensors(model, bp_tail):
    """[(index in the model, name)] of every parameter below the tail, in parameter order."""
    head, _ = models.split_tail(model.layers, bp_tail)
    return [(tensor, layer.name) for tensor, layer in enumerate(models.weight_layers(head))]


def forward_pass(phase, model, bp_tail, weights, images, labels, settings, record=None):
    """One forward pass.  Returns (loss, logits, [the input of each linear layer of the tail]).

    With a record it runs layer by layer on the whole batch (layers.py), else by tiles (tiled.py), equal bit for bit.
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
    logits = forward(of_tail, weights, forward(head, weights, x), inputs)
    loss = loss_named(settings.loss)(logits, labels)
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
        tail.update_tail(weights, tail.tail_steps(of_tail, weights, logits, inputs, labels, settings.b_bp, note))
    else:
        tiled.train_tail(of_tail, weights, logits, inputs, labels, settings.b_bp)
