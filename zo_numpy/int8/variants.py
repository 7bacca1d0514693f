"""What departs from the step of elastic_zo.py, made of the same parts.

    frozen          the control: ZO layers stay at their initialisation, the tail alone is trained
    queries         several perturbations a step, each a z of its own (CHOICE 31)
    tail_passes     "both": the tail's gradients of both passes are used, not of the second alone (CHOICE 8)
"""
import functools
from typing import NamedTuple

import numpy as np

from .. import models
from . import tail, tiled
from .arith import INT8_MAX, pseudo_stochastic_shift
from .draws import perturbation_in_turn
from .elastic_zo import forward_pass, perturb, train_tail, zo_gradient, zo_shift, zo_tensors


class Variant(NamedTuple):
    """How a step departs from elastic_zo's, which has these defaults."""
    frozen: bool = False
    tail_passes: str = "second"
    queries: int = 1


def train_step(model, bp_tail, weights, images, labels, seed, step, settings, record=None, variant=Variant()):
    """One step on one batch; changes `weights` in place.  Arguments as of `elastic_zo.train_step`.

    Returns (L+, L-, g): of several queries the losses are means over them, rounded down, and g is a tuple of theirs.
    """
    if variant.frozen:
        return frozen_step(model, bp_tail, weights, images, labels, settings, record)
    zo_names, losses, gs = zo_tensors(model, bp_tail), [], []
    both = variant.tail_passes == "both"
    for query in range(variant.queries):
        last = query == variant.queries - 1   # the one whose passes give the tail's gradient
        perturb(weights, zo_names, +1, seed, step, settings, query)
        loss_plus, *kept = forward_pass("plus", model, bp_tail, weights, images, labels, settings, record)
        first = _steps_of("plus", model, bp_tail, weights, *kept, labels, settings, record) if both and last else {}
        perturb(weights, zo_names, -2, seed, step, settings, query)
        loss_minus, *kept = forward_pass("minus", model, bp_tail, weights, images, labels, settings, record)
        losses.append((loss_plus, loss_minus))
        gs.append(zo_gradient(loss_plus, loss_minus))
        if not last:
            perturb(weights, zo_names, +1, seed, step, settings, query)
    if both:
        _train_tail_of_both(model, bp_tail, weights, *kept, labels, settings, first, record)
    else:
        train_tail(model, bp_tail, weights, *kept, labels, settings, record)
    restore_and_update(weights, zo_names, gs, seed, step, settings)
    if variant.queries == 1:
        return loss_plus, loss_minus, gs[0]
    loss_plus, loss_minus = (sum(values) // len(gs) for values in zip(*losses))
    return loss_plus, loss_minus, tuple(gs)


def frozen_step(model, bp_tail, weights, images, labels, settings, record=None):
    """A step of the control: one pass serves it, with nothing perturbed (CHOICE 26).  Returns (L, L, 0)."""
    loss, *kept = forward_pass("minus", model, bp_tail, weights, images, labels, settings, record)
    train_tail(model, bp_tail, weights, *kept, labels, settings, record)
    return loss, loss, 0


def restore_and_update(weights, zo_names, gs, seed, step, settings):
    """theta += z of the last query, which restores it exactly, then theta -= the steps of all queries.

    gs: [g of each query], 1 to 64. Their steps are summed before the clip to +-(127 - R).
    """
    shift, bound = zo_shift(settings), INT8_MAX - settings.r_limit
    for tensor, name in zo_names:
        theta = weights[name].data.reshape(-1)
        of_all = (perturbation_in_turn(seed, step, tensor, query, theta.size, settings) for query in range(len(gs)))
        for drawn in zip(*of_all):
            piece, taken = drawn[-1]   # theta stands at theta - z of the last query
            moved = theta[piece] + taken.astype(np.int16)   # 64 steps of at most 63 sum to less than 2^15
            for g, (_, z) in zip(gs, drawn):
                moved -= np.int8(g) * pseudo_stochastic_shift(z, shift)
            theta[piece] = np.clip(moved, -bound, bound)


def _steps_of(phase, model, bp_tail, weights, logits, inputs, labels, settings, record=None):
    """The steps of a whole tail from one pass; nothing is changed.  With a record by way of whole tensors."""
    _, of_tail = models.split_tail(model.layers, bp_tail)
    given = of_tail, weights, logits, inputs, labels, settings.b_bp
    return tail.tail_steps(*given, functools.partial(record, phase)) if record else tiled.tail_steps(*given)


def _train_tail_of_both(model, bp_tail, weights, logits, inputs, labels, settings, first, record=None):
    """The tail's update from the steps of the first pass and what the second gave, in place."""
    if record:
        second = _steps_of("minus", model, bp_tail, weights, logits, inputs, labels, settings, record)
        tail.update_tail(weights, add_steps(first, second))
    else:
        _, of_tail = models.split_tail(model.layers, bp_tail)
        tiled.train_tail(of_tail, weights, logits, inputs, labels, settings.b_bp, first)


def add_steps(first, second):
    """The sum of two steps, where both forward passes contribute (CHOICE 8)."""
    return {name: first[name] + second[name] for name in first}
