"""What a trainer asks of a precision, in INT8: how a run starts, steps, is scored, saved and read again."""
import functools
from decimal import Decimal

import numpy as np

from .. import models
from ..clouds import quantised_clouds
from . import elastic_zo, tail, tiled, variants
from .arith import INT8_MAX, QTensor
from .draws import init_weights, perturbation
from .elastic_zo import Settings, zo_tensors
from .loss import FRACTION_BITS

DECODES_AHEAD = True   # all clouds are made before the first step


def initialise(config):
    """The weights a run starts from: {name: QTensor}."""
    model = models.of_run(config)
    headroom = dict(zip((layer.name for layer in models.weight_layers(model.layers)), config.headroom))
    return fit_for_zo(init_weights(model, config.seed, headroom), config)


def fit_for_zo(weights, config):
    """Weights from anywhere as a run may start from them, clipped in place; running scales begin anew."""
    model = models.of_run(config)
    weights = {name: weight for name, weight in weights.items() if isinstance(weight, QTensor)}
    clip_for_zo(weights, zo_tensors(model, config.bp_tail), max(config.schedules["r_max"]))
    if config.tail_scale == "running":
        weights |= tail.first_scales(models.split_tail(model.layers, config.bp_tail)[1])
    return weights


def clip_for_zo(weights, zo_names, r_limit):
    """Brings the ZO weights into +-(127 - R), in place, so that theta +- z never saturates (CHOICE 9)."""
    bound = INT8_MAX - r_limit
    for _, name in zo_names:
        data = weights[name].data
        np.clip(data, -bound, bound, out=data)


def settings_at(config, epoch):
    """The Settings of an epoch, from 0 (CHOICE 28)."""
    scheduled = {name: config.at(name, epoch) for name in ("r_max", "p_zero", "b_zo", "b_bp")}
    return Settings(**scheduled, r_limit=max(config.schedules["r_max"]), loss=config.loss)


def train_step_of(config):
    """The function that makes a run's steps: elastic_zo.train_step, or a variant of it."""
    variant = variants.Variant(config.zo_frozen, config.tail_passes, config.queries)
    if variant == variants.Variant():
        return elastic_zo.train_step
    return functools.partial(variants.train_step, variant=variant)


def draw(settings, seed, step, tensor, query, count):
    """z of a whole tensor, for golden vectors: (count,) int8. A step itself draws a piece at a time."""
    return perturbation(seed, step, tensor, query, count, settings.r_max, settings.p_zero)


def check_finite(weights, step):
    """Integers are always finite."""


def parameter_count(layer):
    """How many numbers a layer learns: its weights, as there are no biases and no batch norm."""
    return models.weight_count(layer) if models.has_weight(layer) else 0


def decode_clouds(clouds):
    """Point clouds as training takes them.  (N, P, 3) float32 -> int8; made once, before the first step."""
    return quantised_clouds(clouds)


def logits_of(model, weights, images):
    """Logits of a batch, with nothing perturbed.  images: as of `train_step`.  Returns QTensor (N, classes)."""
    return tiled.forward(model.layers, weights, images)


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
    """What is saved of the weights: ({name: array}, {name.exponent: int}).  A running scale is an array alone."""
    quantised = {name: weight for name, weight in weights.items() if isinstance(weight, QTensor)}
    return ({name: weight.data if name in quantised else weight for name, weight in weights.items()},
            {name + ".exponent": weight.exponent for name, weight in quantised.items()})


def from_arrays(arrays, numbers):
    """The inverse of `to_arrays`.  Raises KeyError where a number is missing."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return {name: array if name.endswith(tail.SCALE) else QTensor(array, numbers[name + ".exponent"])
            for name, array in arrays.items()}
