"""ElasticZO in FP32: one training step, read top to bottom like the algorithm.

    theta += eps z;   forward                    -> L+
    theta -= 2 eps z; forward, tail gradient     -> L-
    g = clip((L+ - L-) / (2 eps))
    theta += (eps - eta g) z, which restores and updates in one pass
    tail  -= eta_tail * tail gradient

theta are the parameters below the tail, z a standard normal perturbation that is never stored but drawn again from
(seed, step) each time: three draws a step. After perturbing and restoring, theta is within 2 ulp of
max(|theta|, eps |z|) of what it was.
"""
import functools
import math
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from .. import models, rng
from ..errors import Diverged
from .draws import box_muller, normal
from .layers import forward
from .loss import cross_entropy
from .points import update_running
from .tail import add_steps, forward_tail, gradient_step, tail_gradients, update_tail

PER_WORD = 2   # elements of z that one random word makes (Box-Muller)
REMEDY = "lower --eta or --eta-tail, or clip g more with --clip"


def from_pixels(images):
    """(N, C, H, W) uint8 in 0..255 -> float32 in [0, 1]."""
    return images.astype(np.float32) * np.float32(1 / 255)


def network_input(samples):
    """A batch as the network takes it: images as in `from_pixels`, clouds (N, P, 3) float32 as they are."""
    return from_pixels(samples) if samples.dtype == np.uint8 else samples


class Settings(NamedTuple):
    """What governs one step; the schedules change it from epoch to epoch."""
    eps: float            # length of the perturbation, in units of a parameter
    eta: float            # ZO learning rate
    clip: float           # largest |g|
    eta_tail: float       # learning rate of the tail
    tail_passes: str = "second"   # or "both": which forward passes give a tail gradient
    frozen: bool = False          # the control: ZO layers stay at their initialisation
    queries: int = 1              # perturbations a step, each a z of its own


def parameters(layer):
    """{part: shape} of what a layer learns; its parameters are called "layer.part"."""
    match layer:
        case models.PointLinear():
            return {"weight": layer.weight_shape}
        case models.BatchNorm():
            return {"gamma": (layer.channels,), "beta": (layer.channels,)}
        case models.Conv2d() | models.Linear():
            return {"weight": layer.weight_shape, "bias": layer.weight_shape[:1]}
    return {}


def init_weights(model, seed):
    """Kaiming-uniform weights in +-sqrt(3 / fan_in) * gain, gain sqrt(2) (float32, Philox); biases and beta 0, gamma 1.

    Returns an ordered {"layer.weight": array, "layer.bias": array, ..}. A parameter's place in it is its index in the
    model, the `tensor` of rng.py. Behind all parameters stand what is no parameter, the running statistics of batch
    norm: "norm.mean", 0 at first, and "norm.var", 1.
    """
    weights = {}
    for layer in model.layers:
        for part, shape in parameters(layer).items():
            if part == "weight":
                bound = math.sqrt(6 / models.fan_in(layer))
                words = rng.words(seed, rng.INIT, 0, len(weights), 0, models.weight_count(layer))
                uniform = (words >> 40).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)   # [-1, 1), 24 bits
                value = (np.float32(bound) * uniform).reshape(shape)
            else:
                value = np.full(shape, part == "gamma", np.float32)
            weights[f"{layer.name}.{part}"] = value
    for layer in model.layers:
        if isinstance(layer, models.BatchNorm):
            weights[layer.name + ".mean"] = np.zeros(layer.channels, np.float32)
            weights[layer.name + ".var"] = np.ones(layer.channels, np.float32)
    return weights


def draw(name, tensor, weights, seed, step, query=0):
    """z of a whole tensor, for golden vectors: (size,) float32. A step itself draws by groups (`change_theta`)."""
    return normal(seed, step, tensor, query, weights[name].size)


def change_theta(weights, zo_names, seed, step, change):
    """theta += change(z), in place, group by group (rng.groups): no z of a whole tensor exists.

    zo_names: see `zo_tensors`.  change: is given a function z(query) that draws the present group's elements of z,
    (count,) float32, and returns what to add to them, (count,) float32.
    """
    names = dict(zo_names)

    def run(group):
        def z(query):
            return box_muller(rng.group_words(seed, step, query, group, PER_WORD))

        for piece, part in rng.of_pieces(group, change(z), PER_WORD):
            weights[names[piece.tensor]].reshape(-1)[piece.start:piece.stop] += part

    for group in rng.groups({tensor: weights[name].size for tensor, name in zo_names}, PER_WORD):
        run(group)


def perturb(weights, zo_names, times, seed, step, query=0):
    """theta += times * z, in place.  times: a float.  query: which z, where a step has several."""
    def times_z(z):
        scaled = z(query)
        scaled *= np.float32(times)
        return scaled

    change_theta(weights, zo_names, seed, step, times_z)


def zo_gradient(loss_plus, loss_minus, settings):
    """g, the ZO gradient along z: the slope (L+ - L-) / 2 eps, clipped to +-clip.  Returns a float."""
    return max(-settings.clip, min(settings.clip, (loss_plus - loss_minus) / (2 * settings.eps)))


def restore_and_update(weights, zo_names, g, seed, step, settings):
    """theta += (eps - eta g) z, in place: what is left of the perturbation goes, and the step is made.

    g: a float. With several queries a tuple of one for each: their steps are averaged, and only the last query's
    perturbation is still to be restored.
    """
    gs = g if isinstance(g, tuple) else (g,)
    for query, slope in enumerate(gs):
        taken = settings.eps if query == len(gs) - 1 else 0.0   # theta stands at theta - eps z of the last query
        perturb(weights, zo_names, taken - settings.eta * slope / len(gs), seed, step, query)


def zo_tensors(model, bp_tail):
    """[(index in the model, name)] of every parameter below the tail, in parameter order."""
    head, _ = models.split_tail(model.layers, bp_tail)
    names = [f"{layer.name}.{part}" for layer in head for part in parameters(layer)]
    return list(enumerate(names))


def train_step(model, bp_tail, weights, images, labels, seed, step, settings, record=None):
    """One step of ElasticZO on one batch; changes `weights` in place.

    images: (N, C, H, W) uint8, or clouds (N, P, 3) float32; the last batch of an epoch may be smaller.
    labels: (N,) uint8.  step: from 0, over the whole run.
    Batch norm uses the batch's own statistics in every pass; the last pass alone moves the running ones, once a step.
    record: None, or called as record(phase, op, name, value) with every tensor of both passes, for golden vectors;
        the phases are "plus" and "minus", a value is an array, a float or a mapping of these.
    Returns (L+, L-, g), Python floats. With several queries the losses are means over them, and g is a tuple; the
    tail's gradient comes from the last query.
    Raises Diverged if a loss is not finite.
    """
    head, tail = models.split_tail(model.layers, bp_tail)
    zo_names = [] if settings.frozen else zo_tensors(model, bp_tail)
    both = settings.tail_passes == "both"
    statistics = {}   # of batch norm, from the latest pass

    def forward_pass(phase, with_gradient):
        """The loss, and the steps of the tail ({} if not asked for)."""
        noted = functools.partial(record, phase) if record else None
        if noted:
            noted("weights", None, weights)
            noted("input", None, network_input(images))
        logits, inputs = forward_tail(tail, weights, forward(head, weights, network_input(images), noted, statistics),
                                      noted)
        gradients = tail_gradients(tail, weights, logits, inputs, labels, noted) if with_gradient else {}
        # pop: a gradient is gone when its step is made, so that both are held of one parameter at most.
        steps = {name: gradient_step(gradients.pop(name), settings.eta_tail) for name in list(gradients)}
        loss = cross_entropy(logits, labels)
        if not math.isfinite(loss):
            raise Diverged(f"the loss of step {step} is {loss}: the run has diverged; {REMEDY}")
        if noted:
            noted("gradient_step", None, steps)
            noted("loss", None, loss)
        return loss, steps

    if settings.frozen:
        loss_plus, steps = forward_pass("minus", with_gradient=True)   # one pass serves the control
        loss_minus, g = loss_plus, 0.0
    else:
        eps, losses, slopes = settings.eps, [], []
        for query in range(settings.queries):
            last = query == settings.queries - 1
            perturb(weights, zo_names, +eps, seed, step, query)
            loss_plus, first_steps = forward_pass("plus", with_gradient=both and last)
            perturb(weights, zo_names, -2 * eps, seed, step, query)
            loss_minus, steps = forward_pass("minus", with_gradient=last)         # nothing is kept from L+
            losses.append((loss_plus, loss_minus))
            slopes.append(zo_gradient(loss_plus, loss_minus, settings))
            if not last:
                perturb(weights, zo_names, +eps, seed, step, query)
        g = slopes[0] if len(slopes) == 1 else tuple(slopes)
        if len(slopes) > 1:
            loss_plus, loss_minus = (sum(values) / len(slopes) for values in zip(*losses))
        restore_and_update(weights, zo_names, g, seed, step, settings)
        steps = add_steps(first_steps, steps) if both else steps
    update_tail(weights, steps)
    update_running(weights, statistics)
    return loss_plus, loss_minus, g


def logits_of(model, weights, images):
    """Logits of a batch, with nothing perturbed.  images: as of `train_step`.  Returns (N, classes) float32."""
    return forward(model.layers, weights, network_input(images))


# What trainer.py asks of a precision.

def initialise(config):
    """The parameters a run starts from: {name: array}."""
    return init_weights(models.of_run(config), config.seed)


def fit_for_zo(weights, config):
    """Weights from anywhere as a run may start from them: as they are."""
    return weights


def check_finite(weights, step):
    """Raises Diverged if a weight is not finite, which a loss can hide for a while.  step: those made."""
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise Diverged(f"{name} is not finite after step {step - 1}: the run has diverged; {REMEDY}")


def parameter_count(layer):
    """How many numbers a layer learns, biases included."""
    return sum(math.prod(shape) for shape in parameters(layer).values())


def decode_clouds(clouds):
    """Point clouds as training takes them: as they are.  (N, P, 3) float32."""
    return clouds


DECODES_AHEAD = False   # clouds may be made between two steps


def settings_at(config, epoch):
    """The Settings of an epoch, from 0."""
    scheduled = {name: config.at(name, epoch) for name in ("eps", "eta", "clip", "eta_tail")}
    return Settings(**scheduled, tail_passes=config.tail_passes, frozen=config.zo_frozen, queries=config.queries)


def scores(model, weights, images):
    """The logits of each image.  (N, ...), as of `train_step` -> (N, classes) float32."""
    return logits_of(model, weights, images)


def classify(model, weights, images):
    """The class of each image, the lowest where logits tie.  (N, ...) -> (N,) int64."""
    return scores(model, weights, images).argmax(axis=1)


def batch_loss(loss, samples):
    """A step's loss, which is a mean, as a sum over its batch."""
    return loss * samples


def mean_loss(total, images):
    """A sum of losses over `images` samples as nats a sample, for people: four decimals."""
    return Decimal(round(10_000 * total / images)).scaleb(-4)


def to_arrays(weights):
    """What is saved of the parameters: ({name: float32 array}, {})."""
    return dict(weights), {}


def from_arrays(arrays, numbers):
    """The inverse of `to_arrays`.  numbers: unused, FP32 has none."""
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}
