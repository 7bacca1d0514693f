"""ElasticZO-INT8: one training step, read top to bottom like the algorithm.

    theta += z;   forward                    -> L+
    theta -= 2 z; forward, tail gradient     -> L-
    g = sgn(L+ - L-)
    theta += z, then theta -= g * z scaled to b_zo bits
    tail  -= tail gradient scaled to b_bp bits

theta are the int8 weights below the tail, z a sparse random int8 perturbation that is never stored but drawn again
from (seed, step) each time. Integers only, from the images to the updated weights.
"""
from typing import NamedTuple

import numpy as np

from .. import models, rng
from .arith import INT8_MAX, QTensor, bit_width, from_pixels, pseudo_stochastic_shift
from .layers import forward
from .loss import LOSSES
from .tail import add_steps, forward_tail, gradient_step, tail_gradients, update_tail


class Settings(NamedTuple):
    """What governs one step; the schedules change it from epoch to epoch."""
    r_max: int            # largest magnitude of z, 2^k - 1 with 1 <= k <= 6
    p_zero: int           # n of the probability n / 256 that an element of z is zero
    b_zo: int             # bits that are left of z in an update
    b_bp: int             # bits that are left of a tail gradient in an update, 1..7
    r_limit: int          # R, the largest r_max of the whole schedule: ZO weights stay in +-(127 - R)
    loss: str = "integer"
    tail_passes: str = "second"   # or "both": which forward passes give a tail gradient
    frozen: bool = False          # the control: ZO layers stay at their initialisation


def init_weights(model, seed, headroom):
    """Kaiming-scaled int8 weights, uniform in +-(127 >> h) with exponent h - k (CHOICE 3).

    k is the smallest integer with 12 * 4^k >= 127^2 * fan_in, so that +-127 * 2^-k is the power of two nearest to
    Kaiming's uniform bound; h bits of headroom let weights grow, as exponents never change.
    headroom: {layer name: h}, 0 <= h <= 6.  Returns an ordered {layer name: QTensor}.
    """
    weights = {}
    for tensor, layer in enumerate(models.weight_layers(model.layers)):
        k = 0
        while 12 * 4**k < INT8_MAX**2 * models.fan_in(layer):
            k += 1
        h = headroom[layer.name]
        count = models.fan_in(layer) * layer.weight_shape[0]
        data = rng.uniform_int8(seed, tensor, count, INT8_MAX >> h)
        weights[layer.name] = QTensor(data.reshape(layer.weight_shape), h - k)
    return weights


def perturb(weights, names, times, seed, step, settings):
    """theta += times * z, in place, with z drawn again from (seed, step).  times: +1 or -2."""
    for tensor, name in names:
        z = rng.perturbation(seed, step, tensor, 0, weights[name].data.size, settings.r_max, settings.p_zero)
        weights[name].data.reshape(-1)[...] += np.int8(times) * z   # |2 z| <= 126: no int8 wraps


def restore_and_update(weights, names, g, seed, step, settings):
    """theta += z, which restores it exactly, then theta -= g * z scaled to b_zo bits, clipped to +-(127 - R).

    g: -1, 0 or 1; 0 restores only.
    """
    shift = max(0, bit_width(settings.r_max) - settings.b_zo)
    bound = INT8_MAX - settings.r_limit
    for tensor, name in names:
        theta = weights[name].data.reshape(-1)
        z = rng.perturbation(seed, step, tensor, 0, theta.size, settings.r_max, settings.p_zero)
        theta += z
        if g:
            theta -= np.int8(g) * pseudo_stochastic_shift(z, shift)   # |theta| + |step| <= 127 - R + R
            np.clip(theta, -bound, bound, out=theta)


def clip_for_zo(weights, names, r_limit):
    """Brings the ZO weights into +-(127 - R), in place, so that theta +- z never saturates (CHOICE 9)."""
    bound = INT8_MAX - r_limit
    for _, name in names:
        data = weights[name].data
        np.clip(data, -bound, bound, out=data)


def zo_tensors(model, bp_tail):
    """(index in the model, name) of every parameter below the tail, in parameter order."""
    head, _ = models.split_tail(model.layers, bp_tail)
    return [(tensor, layer.name) for tensor, layer in enumerate(models.weight_layers(head))]


def train_step(model, bp_tail, weights, images, labels, seed, step, settings):
    """One step of ElasticZO-INT8 on one batch; changes `weights` in place.

    images: (N, C, H, W) uint8.  labels: (N,) uint8.  step: from 0, over the whole run.
    Returns (L+, L-, g): two Python ints in units of the loss, and -1, 0 or 1.
    """
    head, tail = models.split_tail(model.layers, bp_tail)
    zo_names = [] if settings.frozen else zo_tensors(model, bp_tail)
    loss_of = LOSSES[settings.loss]
    x = from_pixels(images)

    def forward_pass(with_gradient):
        logits, inputs = forward_tail(tail, weights, forward(head, weights, x))
        steps = {}
        if with_gradient:
            gradients = tail_gradients(tail, weights, logits, inputs, labels)
            steps = {name: gradient_step(gradient, settings.b_bp) for name, gradient in gradients.items()}
        return loss_of(logits, labels), steps

    if settings.frozen:
        loss, steps = forward_pass(with_gradient=True)
        update_tail(weights, steps)
        return loss, loss, 0

    both = settings.tail_passes == "both"
    perturb(weights, zo_names, +1, seed, step, settings)
    loss_plus, first_steps = forward_pass(with_gradient=both)
    perturb(weights, zo_names, -2, seed, step, settings)
    loss_minus, steps = forward_pass(with_gradient=True)
    g = (loss_plus > loss_minus) - (loss_plus < loss_minus)
    restore_and_update(weights, zo_names, g, seed, step, settings)
    update_tail(weights, add_steps(first_steps, steps) if both else steps)
    return loss_plus, loss_minus, g


def predict(model, weights, images):
    """Logits of a batch, with nothing perturbed.  images: (N, C, H, W) uint8.  Returns QTensor (N, classes)."""
    return forward(model.layers, weights, from_pixels(images))
