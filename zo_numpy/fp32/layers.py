"""FP32 forwards of every layer, and the forward pass of a list of layers.

No backwards: those of the tail are in tail.py.

The twin of int8/layers.py: the same functions with biases, without an integer accumulator to bring back to int8.
Parameters are an ordered mapping {"conv1.weight": array, "conv1.bias": array, ...}, all float32.

Shapes are (N, C, H, W) and (N, features) throughout; shapes.py has the layers that only move and compare.
"""
import numpy as np

from .. import models
from ..shapes import flatten, max_pool2d, patches, relu
from ..tiles import for_tiles, tiling
from . import points


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

    weights: {parameter's name: array}.  Raises TypeError for a layer of points (points.py).
    """
    match layer:
        case models.Conv2d():
            return conv2d(x, weights[layer.name + ".weight"], weights[layer.name + ".bias"], layer.pad)
        case models.Linear():
            return linear(x, weights[layer.name + ".weight"], weights[layer.name + ".bias"])
        case models.MaxPool2d():
            return max_pool2d(x, layer.size)
        case models.ReLU():
            return relu(x)
        case models.Flatten():
            return flatten(x)
    raise TypeError(f"no FP32 forward for {layer!r}")


def forward_block(block, weights, x, record=None):
    """One block: matmul and the weightless layers behind it, tile by tile over the batch.

    x: (N, ...).  record: None, or called as record(op, block's name, array) with what each op returns.
    Returns (N, ...).
    """
    name = block[0].name

    def run(part, record=None):
        for layer in block:
            part = apply_layer(layer, weights, part)
            if record:
                record(type(layer).__name__, name, part)
        return part

    if record:   # sees every op on the whole batch
        return run(x, record)
    n, *sample_shape = x.shape
    out = np.empty((n, *models.output_shape(block, sample_shape)), x.dtype)

    def fill(tile):
        out[tile] = run(x[tile])

    length, workers = tiling(block, sample_shape, n, "float32")   # samples of a tile, threads
    for_tiles(n, length, fill, workers)
    return out


def forward(layers, weights, x, record=None, statistics=None):
    """The forward pass of a list of layers.  x: (N, ...) -> (N, ...).

    record: see forward_block.  statistics: see points.forward_block.
    """
    for block in models.blocks(layers):
        if isinstance(block[0], models.PointLinear):
            x = points.forward_block(block, weights, x, record, statistics)
        else:
            x = forward_block(block, weights, x, record)
    return x
