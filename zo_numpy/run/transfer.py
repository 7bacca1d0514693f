"""The weights a run starts from when they come from another run, or from a file (fine-tuning), converted where the
precisions differ.

FP32 to INT8: each layer's weights are divided by the power of two that brings the largest to at most 127 >> h and
rounded, h being the layer's headroom; INT8 has no biases, so they are dropped. Of batch norm the scale that evaluation
uses goes into the weights before it, the shift is dropped. INT8 to FP32: data * 2^exponent, biases zero, batch norm as
at its start. Both happen before training.
"""
import pathlib

import numpy as np

from .. import models
from ..errors import UserError
from ..fp32 import precision as fp32
from ..fp32.points import evaluation_scale
from ..int8.arith import INT8_MAX, QTensor
from .config_json import read_config
from .folder import CHECKPOINT
from .network import first_difference
from .weights_file import holds_integers, is_weights_file, read_weights_file


def quantised(array, headroom):
    """A float array as a QTensor whose largest magnitude is at most 127 >> headroom, as near to it as 2^e allows."""
    largest = float(np.abs(array).max())
    exponent = int(np.ceil(np.log2(largest / (INT8_MAX >> headroom)))) if largest else 0
    return QTensor(np.clip(np.rint(array * 2.0**-exponent), -INT8_MAX, INT8_MAX).astype(np.int8), exponent)


def to_int8(weights, config):
    """{layer's name: QTensor} from FP32 parameters.  config: of the run that starts, which has the headrooms."""
    converted = {}
    for block, headroom in zip(models.blocks(models.of_run(config).layers), config.headroom):
        name = block[0].name
        weight = weights[name + ".weight"]
        for layer in block:
            if isinstance(layer, models.BatchNorm):
                weight = weight * evaluation_scale(weights, layer.name)[:, None]
        converted[name] = quantised(weight, headroom)
    return converted


def to_fp32(weights, config):
    """FP32 parameters from INT8 weights.  config: of the run that starts."""
    converted = fp32.initialise(config)
    for name, value in converted.items():
        layer, part = name.split(".")
        if part == "weight":
            data, exponent = weights[layer]
            value[...] = data.astype(np.float32) * np.float32(2.0**exponent)
    return converted


def starts_from_integers(config):
    """Whether a run takes INT8 weights over as they are. False, too, where `start_from` will refuse the source."""
    if config.precision != "int8" or not config.init_from:
        return False
    try:
        if is_weights_file(config.init_from):
            return holds_integers(config.init_from)
        return read_config(pathlib.Path(config.init_from)).precision == "int8"
    except UserError:
        return False


def start_from(config, load_weights, announce):
    """The weights of the run or in the file `config.init_from`, in the precision of `config`.

    load_weights: (config, path) -> (weights, numbers), see trainer.py.  announce: called with what is said of a file.
    Raises UserError if it is no run, has no checkpoint or is of another network.
    """
    if is_weights_file(config.init_from):
        return _converted(*read_weights_file(config, announce), config)
    path = pathlib.Path(config.init_from)
    source = read_config(path)
    if source.layers or config.layers:
        _check_same_layers(path, source, config)
    elif source.model != config.model:
        raise UserError(f"--init-from {path}: it is a {source.model}, this run trains a {config.model}; give a run of "
                        "the same --model")
    old, new = models.of_run(source), models.of_run(config)
    if old.classes != new.classes:
        raise UserError(f"--init-from {path}: it tells {old.classes} classes apart, this run's data have "
                        f"{new.classes}; give a run on the same classes")
    if not models.takes_points(new) and old.input_shape != new.input_shape:   # weights do not know how many points
        sizes = [" x ".join(map(str, model.input_shape)) for model in (old, new)]
        raise UserError(f"--init-from {path}: it takes images of {sizes[0]}, this run's data have {sizes[1]}; give a "
                        "run on images of the same shape")
    if not (path / CHECKPOINT).exists():
        raise UserError(f"--init-from {path}: it has no checkpoint yet; finish that run first")
    weights, _ = load_weights(source, path)
    return _converted(weights, source.precision, config)


def _converted(weights, precision, config):
    """Weights of a precision in that of `config`, the run that starts."""
    if precision == config.precision:
        return weights
    return to_int8(weights, config) if config.precision == "int8" else to_fp32(weights, config)


def _check_same_layers(path, source, config):
    """Refuses a run whose layers are not those of this one's network, whatever the two are called."""
    difference = first_difference(models.of_run(config).layers, models.of_run(source).layers)
    if difference:
        raise UserError(f"--init-from {path}: its network is not that of --model {config.model}: {difference}; give "
                        "a run of the same network")
