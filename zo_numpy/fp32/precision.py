"""What a trainer asks of a precision, in FP32: how a run starts, steps, is scored, saved and read again."""
import functools
import math
from decimal import Decimal

import numpy as np

from .. import models
from ..errors import Diverged
from . import elastic_zo, tiled, variants
from .draws import init_weights, perturbation
from .elastic_zo import REMEDY, Settings, zo_tensors  # noqa: F401 - zo_tensors for those who ask a precision
from .layers import parameters

DECODES_AHEAD = False   # clouds may be made between two steps


def initialise(config):
    """The parameters a run starts from: {name: array}."""
    return init_weights(models.of_run(config), config.seed)


def fit_for_zo(weights, config):
    """Weights from anywhere as a run may start from them: as they are."""
    return weights


def settings_at(config, epoch):
    """The Settings of an epoch, from 0."""
    return Settings(**{name: config.at(name, epoch) for name in ("eps", "eta", "clip", "eta_tail")})


def train_step_of(config):
    """The function that makes a run's steps: elastic_zo.train_step, or a variant of it."""
    variant = variants.Variant(config.zo_frozen, config.tail_passes, config.queries)
    if variant == variants.Variant():
        return elastic_zo.train_step
    return functools.partial(variants.train_step, variant=variant)


def draw(settings, seed, step, tensor, query, count):
    """z of a whole tensor, for golden vectors: (count,) float32. A step itself draws a piece at a time."""
    return perturbation(seed, step, tensor, query, count)


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


def logits_of(model, weights, images):
    """Logits of a batch, with nothing perturbed.  images: as of `train_step`.  Returns (N, classes) float32."""
    return tiled.forward(model.layers, weights, images)


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
