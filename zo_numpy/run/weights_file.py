"""Weights from elsewhere: an .npz file with the arrays of a network that another program trained.

Two layouts are known, those of PyTorch and of Keras:

    layer         PyTorch                                     Keras                   here
    Linear        (out, in)                                   (in, out)               (out, in)
    Conv2d        (out, in, k, k)                             (k, k, in, out)         (out, in, k, k)
    PointLinear   (out, in), with or without ones at end      (in, out)               (out, in)
    BatchNorm     weight, bias, running_mean, running_var     gamma, beta, moving_mean, moving_variance

A Keras network flattens (H, W, C): the inputs of its first Linear are brought into our order, (C, H, W). Arrays belong
to layers by name, as conv1.weight or conv1/kernel:0 to conv1, or, where no layer's name is found, by their order:

    np.savez(path, **{name: value.numpy() for name, value in net.state_dict().items()})     # PyTorch
    np.savez(path, *net.get_weights())                                                       # Keras

What `export --format npz` writes is read by name, too, in INT8 as the integers that it holds. A network here sees
pixels as 0 to 1.
"""
import re

import numpy as np

from .. import models
from ..errors import UserError
from ..files import user_path
from ..fp32 import precision as fp32
from ..fp32.points import EPSILON
from ..int8.arith import INT8_MAX, QTensor
from .checkpoint import read_npz

SUFFIX = ".npz"
KERAS_EPSILON = 1e-3          # of its batch norm
EXPONENT = ".exponent"        # after the name of an INT8 weight, which is data * 2^exponent
LARGEST_EXPONENT = 100        # either way: 127 * 2^100 is still a float32
UNUSED = "num_batches_tracked"
NORM = ("gamma", "beta", "mean", "var")   # in the order that both programs have
WEIGHTS = {"weight": "weight", "kernel": "weight", "bias": "bias"}
NORMS = {"weight": "gamma", "gamma": "gamma", "bias": "beta", "beta": "beta", "mean": "mean", "running_mean": "mean",
         "moving_mean": "mean", "var": "var", "running_var": "var", "moving_variance": "var"}


def is_weights_file(source):
    """Whether what --init-from names is a file of weights and no run."""
    return source.lower().endswith(SUFFIX)


def read_weights_file(config, announce):
    """(weights, precision) of the network of a Config from the file `config.init_from`.

    precision: "int8" with {layer's name: QTensor} if INT8 weights were exported to it, otherwise "fp32" with parameters
    as fp32.initialise has them, whatever the precision of the Config.
    announce: called with one-line strings.  Raises UserError naming the layer, the array and what would fit.
    """
    where, model = f"--init-from {config.init_from}", models.of_run(config)
    arrays = _arrays(config.init_from)
    if _are_integers(arrays):
        return _exported_integers(where, arrays, model, announce), "int8"
    return _floats(config, where, arrays, model, announce), "fp32"


def holds_integers(source):
    """Whether a file holds INT8 weights that `export` wrote.  Raises UserError."""
    return _are_integers(_arrays(source))


def _arrays(source):
    return read_npz(user_path(source), "name an .npz of weights that np.savez wrote, as seen from this folder")


def _are_integers(arrays):
    return any(name + EXPONENT in arrays for name in arrays)


def _exported_integers(where, arrays, model, announce):
    """The INT8 weights that `export` has written, bit for bit."""
    weights = {}
    for layer in models.weight_layers(model.layers):
        missing = [name for name in (layer.name, layer.name + EXPONENT) if name not in arrays]
        if missing:
            raise UserError(f"{where} has no {missing[0]}; it holds {_some(arrays)}: INT8 weights have an array and "
                            f"its exponent for every layer, {layer.name} and {layer.name}{EXPONENT}")
        data, exponent = arrays[layer.name], arrays[layer.name + EXPONENT]
        if data.dtype != np.int8 or np.any(data < -INT8_MAX):
            raise UserError(f"{where}: {layer.name} beside {layer.name}{EXPONENT} must be int8 from -{INT8_MAX} to "
                            f"{INT8_MAX}; it holds " + (f"{data.dtype}" if data.dtype != np.int8 else "-128"))
        if data.shape != layer.weight_shape:
            raise UserError(f"{where}: {layer.name} has the shape {_sizes(data.shape)}: it would be "
                            f"{_sizes(layer.weight_shape)}")
        if exponent.shape or exponent.dtype.kind not in "iu" or not -LARGEST_EXPONENT <= exponent <= LARGEST_EXPONENT:
            raise UserError(f"{where}: {layer.name}{EXPONENT} must be one whole number from -{LARGEST_EXPONENT} to "
                            f"{LARGEST_EXPONENT}")
        weights[layer.name] = QTensor(np.ascontiguousarray(data), int(exponent))
    announce(f"{where}: INT8 weights, read by the names of the layers")
    return weights


def _floats(config, where, arrays, model, announce):
    """FP32 parameters from arrays of floats in either layout."""
    found, how = _assigned(where, {name: array for name, array in arrays.items() if not name.endswith(UNUSED)}, model)
    _check_numbers(where, found)
    keras, sure = _layout(where, found, model)
    announce(f"{where}: read in the layout of {'Keras' if keras else 'PyTorch'}"
             f"{'' if sure else ', as far as one can tell'}, {how}")
    made = fp32.initialise(config)
    shapes = {f"{layer.name}.bias": layer.weight_shape[:1] for layer in models.weight_layers(model.layers)}
    shapes |= {name: array.shape for name, array in made.items()}
    for name, (key, array) in found.items():
        layer, part = name.rpartition(".")[::2]
        if part != "weight" and array.shape != shapes[name]:
            raise UserError(f"{where}: {key}, the {part} of {layer}, has the shape {_sizes(array.shape)}: it would be "
                            f"{_sizes(shapes[name])}")
    shape, flattened, dropped = model.input_shape, None, []
    for layer, following in zip(model.layers, (*model.layers[1:], None)):
        if models.has_weight(layer):
            _, weight = found[layer.name + ".weight"]
            made[layer.name + ".weight"][...] = _turned(layer, weight, keras, flattened)
            bias = found.get(layer.name + ".bias", ("", np.float32(0)))[1]
            if layer.name + ".bias" in made:
                made[layer.name + ".bias"][...] = bias
                dropped += [layer.name] * (config.precision == "int8" and bool(np.any(bias)))
            else:   # a PointLinear: its batch norm subtracts the bias again, with the mean
                key, mean = found[following.name + ".mean"]
                found[following.name + ".mean"] = key, mean - bias
            flattened = None
        elif isinstance(layer, models.BatchNorm):
            for part in NORM:
                made[f"{layer.name}.{part}"][...] = found[f"{layer.name}.{part}"][1]
            made[f"{layer.name}.var"] += np.float32(KERAS_EPSILON - EPSILON) * keras
        elif isinstance(layer, models.Flatten):
            flattened = shape
        shape = models.output_shape([layer], shape)
    if dropped:
        announce(f"{where}: the biases of {', '.join(dropped)} are dropped, as INT8 has none")
    return made


def _sizes(shape):
    return "(" + ", ".join(map(str, shape)) + ")"


def _assigned(where, arrays, model):
    """({"layer.part": (key, array)}, how they were found) for all layers that learn.  Raises UserError."""
    layers = [layer for layer in model.layers if hasattr(layer, "name")]
    names = {layer.name: NORMS if isinstance(layer, models.BatchNorm) else WEIGHTS for layer in layers}
    found, left = {}, []
    for key, array in arrays.items():
        *_, owner, part = ("", "", *re.split(r"[./]", re.sub(r":\d+$", "", key)))
        if part in names:            # the bare name of a layer
            owner, part = part, "weight"
        if owner in names and part in names[owner]:
            name = f"{owner}.{names[owner][part]}"
            if name in found:
                raise UserError(f"{where} has two arrays for {name}, {found[name][0]} and {key}: leave one out")
            found[name] = key, array
        else:
            left.append(key)
    if not found:
        return _by_order(where, arrays, model), "by the order of its arrays"
    for layer in layers:
        for part in NORM if isinstance(layer, models.BatchNorm) else ("weight",):
            if f"{layer.name}.{part}" not in found:
                raise UserError(f"{where} has nothing for the {part} of {layer.name}; it holds {_some(arrays)}: name "
                                f"the array {layer.name}.{part}, or give arrays without names, in order")
    return found, "by the names of the layers" + (f" ({_some(left)} left out)" if left else "")


def _some(names):
    names = list(names)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _by_order(where, arrays, model):
    """The same by order: a weight has two axes or more, and what has one belongs to the weight before it."""
    groups = []
    for key, array in arrays.items():
        if array.ndim > 1:
            groups.append([])
        if not groups:
            raise UserError(f"{where} begins with {key} of the shape {_sizes(array.shape)}: the first array must be "
                            "the weight of the first layer")
        groups[-1].append((key, array))
    blocks = models.blocks(model.layers)
    if len(groups) != len(blocks):
        shapes = _some(_sizes(one[0][1].shape) for one in groups)
        raise UserError(f"{where} holds {len(groups)} arrays of weights ({shapes}), and"
                        f" {model.name} has {len(blocks)} layers with weights "
                        f"({', '.join(block[0].name for block in blocks)}): give one for each")
    found = {}
    for block, (weight, *rest) in zip(blocks, groups):
        parts = [f"{layer.name}.{part}" for layer in block if isinstance(layer, models.BatchNorm) for part in NORM]
        if len(rest) == len(parts) + 1:
            parts = [block[0].name + ".bias", *parts]
        if len(rest) != len(parts):
            may = f"{', '.join(parts)} must, after a bias or not" if parts else "a bias may"
            raise UserError(f"{where}: {len(rest)} arrays of one axis follow {weight[0]}, the weight of "
                            f"{block[0].name}: {may}")
        found |= {block[0].name + ".weight": weight, **dict(zip(parts, rest))}
    return found


def _check_numbers(where, found):
    """Refuses what are no finite floats."""
    for name, (key, array) in found.items():
        if array.dtype.kind != "f":
            raise UserError(f"{where}: {key}, for {name}, holds {array.dtype}: save floats")
        if not np.all(np.abs(array) <= np.finfo(np.float32).max):
            raise UserError(f"{where}: {key}, for {name}, holds numbers that are not finite in float32: weights that "
                            "have diverged are no start")
        if name.endswith(".var") and np.any(array < 0):
            raise UserError(f"{where}: {key}, for {name}, holds a variance below 0: save weights as they were trained")


def _plain(layer, array):
    """A weight without the axes of one element that a convolution over points has."""
    while isinstance(layer, models.PointLinear) and array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    return array


def _keras_shape(layer):
    out, into, *kernel = layer.weight_shape
    return (*kernel, into, out)


def _layout(where, found, model):
    """(whether the file is in Keras's layout, whether its shapes or names say so).  Raises UserError."""
    fits = {}
    for layer in models.weight_layers(model.layers):
        key, array = found[layer.name + ".weight"]
        shape = _plain(layer, array).shape
        fits[layer.name] = shape == layer.weight_shape, shape == _keras_shape(layer)
        if not any(fits[layer.name]):
            raise UserError(f"{where}: {key}, the weight of {layer.name}, has the shape {_sizes(array.shape)}: it "
                            f"would be {_sizes(layer.weight_shape)}, or in Keras's layout "
                            f"{_sizes(_keras_shape(layer))}")
    torch, keras = ([name for name, both in fits.items() if both == only] for only in ((True, False), (False, True)))
    if torch and keras:
        raise UserError(f"{where}: the weight of {torch[0]} has PyTorch's layout and that of {keras[0]} Keras's: save "
                        "all in one")
    kernels = any("kernel" in key for key, _ in found.values())
    words = kernels or any("weight" in key for key, _ in found.values())
    return bool(keras) or not torch and kernels, bool(torch or keras or words)


def _turned(layer, array, keras, flattened):
    """A weight in our layout.  flattened: the (C, H, W) that a Flatten just before has made (C H W) of, or None."""
    array = _plain(layer, array)
    if not keras:
        return array
    if flattened:
        channels, height, width = flattened
        array = array.reshape(height, width, channels, -1).transpose(2, 0, 1, 3).reshape(-1, array.shape[1])
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
