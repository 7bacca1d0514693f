"""FP32 forwards of every layer, and the forward pass of a list of layers, plainly and on a whole batch.

No backwards: those of the tail are in tail.py. Training runs the same in bounded memory, see tiled.py.

The twin of int8/layers.py: the same functions with biases, without an integer accumulator to bring back to int8.
Parameters are an ordered mapping {"conv1.weight": array, "conv1.bias": array, ...}, all float32.

Shapes are (N, C, H, W) and (N, features); shapes.py has the layers that only move and compare, points.py those of clouds.
"""
import numpy as np

from .. import models
from ..shapes import flatten, max_over_points, max_pool2d, patches, relu
from .points import batch_norm, batch_statistics, point_linear, running


def network_input(samples):
    """A batch as the network takes it: images as in `from_pixels`, clouds (N, P, 3) float32 as they are."""
    return from_pixels(samples) if samples.dtype == np.uint8 else samples


def from_pixels(images):
    """(N, C, H, W) uint8 in 0..255 -> float32 in [0, 1]."""
    return images.astype(np.float32) * np.float32(1 / 255)


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


def conv2d(x, weight, bias, pad):
    """Convolution as one matrix product of the weights with the patches of x (stride 1, zero padding).

    x: (N, C, H, W) float32.  weight: (C_out, C, k, k).  bias: (C_out,).
    Returns (N, C_out, H + 2 pad - k + 1, W + 2 pad - k + 1) float32.
    """
    c_out, c_in, k, _ = weight.shape
    columns, (height, n, width) = patches(x, k, pad, weight.dtype)                    # (k, C k, H' N W')
    kernels = weight.transpose(2, 0, 1, 3).reshape(k, c_out, -1)                      # (k, C_out, C k)
    out = kernels[0] @ columns[0]                                                     # (C_out, H' N W')
    for i in range(1, k):
        out += kernels[i] @ columns[i]
    out += bias[:, None]
    return out.reshape(c_out, height, n, width).transpose(2, 0, 1, 3)


def linear(x, weight, bias):
    """Fully-connected layer.  x: (N, in) float32, weight: (out, in), bias: (out,).  Returns (N, out) float32."""
    out = weight @ x.T                                                                # (out, N)
    out += bias[:, None]
    return out.T


def apply_layer(layer, weights, x):
    """One layer of models.py on a float32 array.

    weights: {parameter's name: array}.  Batch norm needs statistics besides: see `forward_block`.
    """
    match layer:
        case models.Conv2d():
            return conv2d(x, weights[layer.name + ".weight"], weights[layer.name + ".bias"], layer.pad)
        case models.Linear():
            return linear(x, weights[layer.name + ".weight"], weights[layer.name + ".bias"])
        case models.PointLinear():
            return point_linear(x, weights[layer.name + ".weight"])
        case models.MaxPool2d():
            return max_pool2d(x, layer.size)
        case models.MaxOverPoints():
            return max_over_points(x)
        case models.ReLU():
            return relu(x)
        case models.Flatten():
            return flatten(x)
    raise TypeError(f"no FP32 forward for {layer!r}")


def forward_block(block, weights, x, statistics=None, record=None):
    """One block: matmul, batch norm, and the weightless layers that follow.

    x: (N, ...).  statistics: None in evaluation, which normalises by the running statistics; in training a mapping that
    those of the batch, by which it normalises, are put into: {norm's name: Statistics}.
    record: None, or called as record(op, name, array) with what each op returns, under the block's name; batch norm
    under its own, and before it what it normalises by, "norm.mean" and "norm.var" of the op batch_statistics.
    Returns (N, ...).
    """
    for layer in block:
        name = block[0].name
        if isinstance(layer, models.BatchNorm):
            name, used = layer.name, running(weights, layer.name)
            if statistics is not None:
                used = statistics[name] = batch_statistics(x)
            for part in used._fields if record else ():
                record("batch_statistics", f"{name}.{part}", getattr(used, part))
            x = batch_norm(x, weights[name + ".gamma"], weights[name + ".beta"], used)
        else:
            x = apply_layer(layer, weights, x)
        if record:
            record(type(layer).__name__, name, x)
    return x


def forward(layers, weights, x, inputs=None, statistics=None, record=None):
    """The forward pass of a list of layers.  x: (N, ...) -> (N, ...).

    inputs: None, or a list to which the input of each block is appended.  statistics, record: see `forward_block`.
    """
    for block in models.blocks(layers):
        if inputs is not None:
            inputs.append(x)
        x = forward_block(block, weights, x, statistics, record)
    return x
