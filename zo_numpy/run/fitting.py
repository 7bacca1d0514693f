"""A configuration meets its data: a network fits itself to the shape of the samples and to the number of classes.

What cannot be is refused here, before anything is computed: a network of images on clouds, and sums that an int32 might
not hold (CHOICE 38).
"""
import dataclasses

from .. import models
from ..errors import UserError
from ..int8.arith import MAX_TERMS
from .config import is_own
from .network import check_shapes


def fitted(config, dataset):
    """The Config of a run on a Dataset.  Raises UserError if they do not go together."""
    model, shape = models.of_name(config.model, config.layers), dataset.train_images.shape[1:]
    points = models.takes_points(model)
    if config.layers:
        check_shapes(config.model, config.layers, shape, len(dataset.classes), config.precision)
        config = dataclasses.replace(config, layers=models.fitted(model, shape, len(dataset.classes)).layers)
    if not is_own(config.data):
        return dataclasses.replace(config, classes=len(dataset.classes)) if points else config
    if points != (len(shape) == 2):
        kinds = [name for name, other in models.MODELS.items() if models.takes_points(other) != points]
        held, wanted = ("images", "point clouds") if points else ("point clouds", "images")
        raise UserError(f"--data {config.data} holds {held} and --model {model.name} takes {wanted}: choose --model "
                        f"{' or '.join(kinds)}")
    sizes = {"points": shape[0]} if points else {"input_shape": shape}
    config = dataclasses.replace(config, classes=len(dataset.classes), **sizes)
    if not config.layers:
        _check_sums(config, model)
    return config


def _check_sums(config, model):
    """Refuses, in INT8, images that make a layer sum more products than an int32 holds."""
    def largest(shape):
        layers = models.fitted(model, shape, config.classes).layers
        return max(models.weight_layers(layers), key=models.fan_in)

    if config.precision != "int8" or models.takes_points(model):
        return
    channels, *sides = config.input_shape
    layer = largest(config.input_shape)
    if models.fan_in(layer) > MAX_TERMS:
        side = next(side for side in range(max(sides), 0, -1)
                    if models.fan_in(largest((channels, side, side))) <= MAX_TERMS)
        raise UserError(f"--data {config.data}: images of {sides[1]} x {sides[0]} pixels make {layer.name} of "
                        f"{model.name} sum {models.fan_in(layer):,} products, and an int32 holds {MAX_TERMS:,} for "
                        f"certain: pack them with --size {side} or less, or choose --precision fp32")
