"""What departs from the step of elastic_zo.py, made of the same parts.

    frozen          the control: ZO layers stay at their initialisation, the tail alone is trained
    queries         several perturbations a step, each a z of its own
    tail_passes     "both": the tail's gradients of both passes are used, not of the second alone
"""
import functools
from typing import NamedTuple

from .. import models
from . import tail, tiled
from .elastic_zo import add_z, forward_pass, perturb, train_tail, zo_gradient, zo_tensors
from .points import update_running


class Variant(NamedTuple):
    """How a step departs from elastic_zo's, which has these defaults."""
    frozen: bool = False
    tail_passes: str = "second"
    queries: int = 1


def train_step(model, bp_tail, weights, images, labels, seed, step, settings, record=None, variant=Variant()):
    """One step on one batch; changes `weights` in place.  Arguments as of `elastic_zo.train_step`.

    Returns (L+, L-, g): of several queries the losses are means over them, and g is a tuple of theirs.
    """
    if variant.frozen:
        return frozen_step(model, bp_tail, weights, images, labels, step, settings, record)
    zo_names, statistics, losses, gs = zo_tensors(model, bp_tail), {}, [], []
    both = variant.tail_passes == "both"
    for query in range(variant.queries):
        last = query == variant.queries - 1   # the one whose passes give the tail's gradient
        perturb(weights, zo_names, +1, seed, step, settings, query)
        loss_plus, *kept = forward_pass("plus", model, bp_tail, weights, images, labels, step, statistics, record)
        first = _steps_of("plus", model, bp_tail, weights, *kept, labels, settings, record) if both and last else {}
        perturb(weights, zo_names, -2, seed, step, settings, query)
        loss_minus, *kept = forward_pass("minus", model, bp_tail, weights, images, labels, step, statistics, record)
        losses.append((loss_plus, loss_minus))
        gs.append(zo_gradient(loss_plus, loss_minus, settings))
        if not last:
            perturb(weights, zo_names, +1, seed, step, settings, query)
    if both:
        _train_tail_of_both(model, bp_tail, weights, *kept, labels, settings, first, record)
    else:
        train_tail(model, bp_tail, weights, *kept, labels, settings, record)
    restore_and_update(weights, zo_names, gs, seed, step, settings)
    update_running(weights, statistics)
    if variant.queries == 1:
        return loss_plus, loss_minus, gs[0]
    loss_plus, loss_minus = (sum(values) / len(gs) for values in zip(*losses))
    return loss_plus, loss_minus, tuple(gs)


def frozen_step(model, bp_tail, weights, images, labels, step, settings, record=None):
    """A step of the control: one pass serves it, with nothing perturbed.  Returns (L, L, 0.0)."""
    statistics = {}
    loss, *kept = forward_pass("minus", model, bp_tail, weights, images, labels, step, statistics, record)
    train_tail(model, bp_tail, weights, *kept, labels, settings, record)
    update_running(weights, statistics)
    return loss, loss, 0.0


def restore_and_update(weights, zo_names, gs, seed, step, settings):
    """theta += eps z of the last query, then theta -= the mean of the steps of all queries.  gs: [g of each query]."""
    last = len(gs) - 1
    for query, g in enumerate(gs):
        taken = settings.eps if query == last else 0.0   # theta stands at theta - eps z of the last query
        add_z(weights, zo_names, taken - settings.eta * g / len(gs), seed, step, query)


def _steps_of(phase, model, bp_tail, weights, logits, inputs, labels, settings, record=None):
    """The steps of a whole tail from one pass; nothing is changed.  With a record by way of whole tensors."""
    _, of_tail = models.split_tail(model.layers, bp_tail)
    given = of_tail, weights, logits, inputs, labels, settings.eta_tail
    return tail.tail_steps(*given, functools.partial(record, phase)) if record else tiled.tail_steps(*given)


def _train_tail_of_both(model, bp_tail, weights, logits, inputs, labels, settings, first, record=None):
    """The tail's update from the steps of the first pass and what the second gave, in place."""
    if record:
        second = _steps_of("minus", model, bp_tail, weights, logits, inputs, labels, settings, record)
        tail.update_tail(weights, add_steps(first, second))
    else:
        _, of_tail = models.split_tail(model.layers, bp_tail)
        tiled.train_tail(of_tail, weights, logits, inputs, labels, settings.eta_tail, first)


def add_steps(first, second):
    """The mean of two steps, where both forward passes contribute."""
    return {name: (first[name] + second[name]) / 2 for name in first}
