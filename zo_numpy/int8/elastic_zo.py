"""ElasticZO-INT8: one training step, read top to bottom like the algorithm.

    theta += z;   forward                    -> L+
    theta -= 2 z; forward, tail gradient     -> L-
    g = sgn(L+ - L-)
    theta += z, then theta -= g * z scaled to b_zo bits
    tail  -= tail gradient scaled to b_bp bits

theta are the int8 weights below the tail, z a sparse random int8 perturbation that is never stored but drawn again
from (seed, step) each time. Integers only, from the images to the updated weights.
"""
import functools
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from .. import models, rng
from ..clouds import quantised_clouds
from .arith import INT8_MAX, QTensor, bit_width, from_pixels, pseudo_stochastic_shift
from .layers import forward
from .loss import FRACTION_BITS, loss_named
from .points import from_points
from .tail import add_steps, forward_tail, gradient_step, tail_gradients, update_tail

PER_WORD = 4   # elements of z that one random word makes: the half-words of it


def network_input(samples):
    """A batch as the network takes it: images (N, C, H, W) uint8, or decoded clouds (N, P, 3) int8.  A QTensor."""
    return from_pixels(samples) if samples.dtype == np.uint8 else from_points(samples)


class Settings(NamedTuple):
    """What governs one step; the schedules change it from epoch to epoch."""
    r_max: int            # largest magnitude of z, 2^k - 1 with 1 <= k <= 6
    p_zero: int           # n of the probability n / 256 that an element of z is zero
    b_zo: int             # bits that are left of z in an update
    b_bp: int             # bits that are left of a tail gradient in an update, 1..7
    r_limit: int          # R, the largest r_max of the whole schedule: ZO weights stay in +-(127 - R)
    loss: object = "integer"      # or "coarse", or a function in their place, as loss.py has them
    tail_passes: str = "second"   # or "both": which forward passes give a tail gradient
    frozen: bool = False          # the control: ZO layers stay at their initialisation
    queries: int = 1              # perturbations a step, each a z of its own (CHOICE 31)


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
        data = rng.uniform_int8(seed, tensor, models.weight_count(layer), INT8_MAX >> h)
        weights[layer.name] = QTensor(data.reshape(layer.weight_shape), h - k)
    return weights


def draw(name, tensor, weights, seed, step, settings, query=0):
    """z of a whole tensor, for golden vectors: (size,) int8. A step itself draws by groups (`change_theta`)."""
    return rng.perturbation(seed, step, tensor, query, weights[name].data.size, settings.r_max, settings.p_zero)


def change_theta(weights, zo_names, seed, step, settings, change, bound=None):
    """theta += change(z), clipped to +-bound if there is one, in place, group by group (rng.groups): no z of a whole
    tensor exists.

    zo_names: see `zo_tensors`.  change: is given a function z(query) that draws the present group's elements of z,
    (count,) int8, and returns what to add to them, (count,) integers.
    """
    names = dict(zo_names)

    def run(group):
        def z(query):
            return rng.z_of(rng.as_half_words(rng.group_words(seed, step, query, group, PER_WORD)),
                            settings.r_max, settings.p_zero)

        for piece, part in rng.of_pieces(group, change(z), PER_WORD):
            theta = weights[names[piece.tensor]].data.reshape(-1)[piece.start:piece.stop]
            if bound is None:
                theta += part
            else:
                theta[...] = np.clip(theta + part, -bound, bound)

    for group in rng.groups({tensor: weights[name].data.size for tensor, name in zo_names}, PER_WORD):
        run(group)


def perturb(weights, zo_names, times, seed, step, settings, query=0):
    """theta += times * z, in place.  times: +1 or -2.  query: which z, where a step has several."""
    def times_z(z):
        return np.int8(times) * z(query)   # |2 z| <= 126: no wrap

    change_theta(weights, zo_names, seed, step, settings, times_z)


def zo_gradient(loss_plus, loss_minus):
    """g, the ZO gradient along z: the sign of L+ - L-, 0 where they are equal (CHOICE 23).  Returns -1, 0 or 1."""
    return (loss_plus > loss_minus) - (loss_plus < loss_minus)


def restore_and_update(weights, zo_names, g, seed, step, settings):
    """theta += z, which restores it exactly, then theta -= g * z scaled to b_zo bits, clipped to +-(127 - R)
    (CHOICE 25).

    g: -1, 0 or 1; 0 restores only. With several queries a tuple of one for each: their steps are summed before the
    clip, and only the last query's perturbation is still to be restored.
    """
    shift = max(0, bit_width(settings.r_max) - settings.b_zo)
    *earlier, last = g if isinstance(g, tuple) else (g,)

    def z_less_steps(z):
        taken = z(len(earlier))   # theta stands at theta - z of the last query
        # Of one query |z| + |step| <= 126, and theta - step is within 127 - R + R: no int8 wraps.
        total = taken - np.int8(last) * pseudo_stochastic_shift(taken, shift)
        for query, sign in enumerate(earlier):   # of at most 64 queries the steps sum to less than 2^15
            total = total - sign * pseudo_stochastic_shift(z(query), shift).astype(np.int16)
        return total

    change_theta(weights, zo_names, seed, step, settings, z_less_steps, INT8_MAX - settings.r_limit)


def clip_for_zo(weights, zo_names, r_limit):
    """Brings the ZO weights into +-(127 - R), in place, so that theta +- z never saturates (CHOICE 9)."""
    bound = INT8_MAX - r_limit
    for _, name in zo_names:
        data = weights[name].data
        np.clip(data, -bound, bound, out=data)


def zo_tensors(model, bp_tail):
    """[(index in the model, name)] of every parameter below the tail, in parameter order."""
    head, _ = models.split_tail(model.layers, bp_tail)
    return [(tensor, layer.name) for tensor, layer in enumerate(models.weight_layers(head))]


def train_step(model, bp_tail, weights, images, labels, seed, step, settings, record=None):
    """One step of ElasticZO-INT8 on one batch; changes `weights` in place.

    images: (N, C, H, W) uint8, or clouds (N, P, 3) int8; the last batch of an epoch may be smaller (CHOICE 27).
    labels: (N,) uint8.  step: from 0, over the whole run.
    record: None, or called as record(phase, op, name, value) with every tensor of both passes, for golden vectors;
        the phases are "plus" and "minus", a value is an array, a QTensor, a Python int or a mapping of these.
    Returns (L+, L-, g): two Python ints in units of the loss, and -1, 0 or 1. With several queries the losses are
    means over them, rounded down, and g is a tuple; the tail's gradient comes from the last query.
    """
    head, tail = models.split_tail(model.layers, bp_tail)
    zo_names = [] if settings.frozen else zo_tensors(model, bp_tail)
    both = settings.tail_passes == "both"

    def forward_pass(phase, with_gradient):
        """The loss, and the steps of the tail ({} if not asked for)."""
        noted = functools.partial(record, phase) if record else None
        if noted:
            noted("weights", None, weights)
            noted("input", None, network_input(images))
        logits, inputs = forward_tail(tail, weights, forward(head, weights, network_input(images), noted), noted)
        gradients = tail_gradients(tail, weights, logits, inputs, labels, noted) if with_gradient else {}
        # pop: a gradient is gone when its step is made, so that both are held of one layer at most.
        steps = {name: gradient_step(gradients.pop(name), settings.b_bp) for name in list(gradients)}
        loss = loss_named(settings.loss)(logits, labels)
        if noted:
            noted("gradient_step", None, steps)
            noted("loss", None, loss)
        return loss, steps

    if settings.frozen:
        loss_plus, steps = forward_pass("minus", with_gradient=True)   # one pass serves the control (CHOICE 26)
        loss_minus, g = loss_plus, 0
    else:
        losses, signs = [], []
        for query in range(settings.queries):
            last = query == settings.queries - 1
            perturb(weights, zo_names, +1, seed, step, settings, query)
            loss_plus, first_steps = forward_pass("plus", with_gradient=both and last)
            perturb(weights, zo_names, -2, seed, step, settings, query)
            loss_minus, steps = forward_pass("minus", with_gradient=last)         # nothing is kept from L+ (CHOICE 24)
            losses.append((loss_plus, loss_minus))
            signs.append(zo_gradient(loss_plus, loss_minus))
            if not last:
                perturb(weights, zo_names, +1, seed, step, settings, query)
        g = signs[0] if len(signs) == 1 else tuple(signs)
        if len(signs) > 1:
            loss_plus, loss_minus = (sum(values) // len(signs) for values in zip(*losses))
        restore_and_update(weights, zo_names, g, seed, step, settings)
        steps = add_steps(first_steps, steps) if both else steps
    update_tail(weights, steps)
    return loss_plus, loss_minus, g


def logits_of(model, weights, images):
    """Logits of a batch, with nothing perturbed.  images: as of `train_step`.  Returns QTensor (N, classes)."""
    return forward(model.layers, weights, network_input(images))


# What trainer.py asks of a precision.

def initialise(config):
    """The weights a run starts from: {name: QTensor}."""
    model = models.of_run(config)
    headroom = dict(zip((layer.name for layer in models.weight_layers(model.layers)), config.headroom))
    return fit_for_zo(init_weights(model, config.seed, headroom), config)


def fit_for_zo(weights, config):
    """Weights from anywhere as a run may start from them, clipped in place."""
    clip_for_zo(weights, zo_tensors(models.of_run(config), config.bp_tail), max(config.schedules["r_max"]))
    return weights


def check_finite(weights, step):
    """Integers are always finite."""


def parameter_count(layer):
    """How many numbers a layer learns: its weights, as there are no biases and no batch norm."""
    return models.weight_count(layer) if models.has_weight(layer) else 0


def decode_clouds(clouds):
    """Point clouds as training takes them.  (N, P, 3) float32 -> int8; made once, before the first step."""
    return quantised_clouds(clouds)


DECODES_AHEAD = True   # all clouds are made before the first step


def settings_at(config, epoch):
    """The Settings of an epoch, from 0 (CHOICE 28)."""
    scheduled = {name: config.at(name, epoch) for name in ("r_max", "p_zero", "b_zo", "b_bp")}
    return Settings(**scheduled, r_limit=max(config.schedules["r_max"]), loss=config.loss,
                    tail_passes=config.tail_passes, frozen=config.zo_frozen, queries=config.queries)


def scores(model, weights, images):
    """The logits of each image, integers of one scale that the batch decides (CHOICE 29).

    (N, ...), as of `train_step` -> (N, classes) int32.
    """
    return logits_of(model, weights, images).data.astype(np.int32)


def classify(model, weights, images):
    """The class of each image, the lowest where logits tie (CHOICE 30).  (N, ...) -> (N,) int64."""
    return scores(model, weights, images).argmax(axis=1)


def batch_loss(loss, samples):
    """A step's loss as a sum over its batch, which the integer loss is already."""
    return loss


def mean_loss(total, images):
    """A sum of losses over `images` samples as nats a sample, for people: four decimals, no float on the way."""
    return Decimal(total * 6931 // (images << FRACTION_BITS)).scaleb(-4)   # ln 2 = 0.6931


def to_arrays(weights):
    """What is saved of the weights: ({name: int8 array}, {name.exponent: int})."""
    return ({name: weight.data for name, weight in weights.items()},
            {name + ".exponent": weight.exponent for name, weight in weights.items()})


def from_arrays(arrays, numbers):
    """The inverse of `to_arrays`.  Raises KeyError where a number is missing."""
    return {name: QTensor(np.ascontiguousarray(array), numbers[name + ".exponent"]) for name, array in arrays.items()}
