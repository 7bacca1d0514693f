"""INT8 forwards of every layer, and the forward pass of a list of layers.

No backwards: those of the tail are in tail.py.

A layer with weights takes int8 and returns its int32 accumulator; the weightless layers behind it (max-pool, ReLU,
flatten) work on the accumulator; one requantisation at the end of the block brings it back to int8, so that int8's
range is spent only on what survives pooling and ReLU (CHOICE 2). Pooling comes first, as it commutes with ReLU and
leaves four times less to do.

Shapes are (N, C, H, W) and (N, features) throughout; shapes.py has the layers that only move and compare.
"""
import numpy as np

from .. import models
from ..shapes import flatten, max_pool2d, patches, relu
from ..tiles import for_tiles, tiling
from . import points
from .arith import check_terms, matmul, requantise


def conv2d(x, weight, pad):
    """Convolution as one integer matrix product of the weights with the patches of x (stride 1, zero padding).

    x: (N, C, H, W) int8.  weight: (C_out, C, k, k) int8.
    Returns the accumulator (N, C_out, H + 2 pad - k + 1, W + 2 pad - k + 1) int32.
    """
    c_out, c_in, k, _ = weight.shape
    check_terms(c_in * k * k)
    columns, (height, n, width) = patches(x, k, pad, np.int32)                        # (k, C k, H' N W')
    kernels = np.ascontiguousarray(weight.transpose(0, 2, 1, 3), np.int32).reshape(c_out, k, -1)   # (C_out, k, C k)
    return matmul(kernels, columns).reshape(c_out, height, n, width).transpose(2, 0, 1, 3)


def linear(x, weight):
    """Fully-connected layer, no bias (CHOICE 16).

    x: (N, in) int8, weight: (out, in) int8.  Returns the accumulator (N, out) int32.
    """
    check_terms(weight.shape[1])
    return matmul(np.ascontiguousarray(x), weight.T)


def apply_layer(layer, weights, x):
    """One layer of models.py on int8, or behind a layer with weights on its int32 accumulator.

    weights: {layer's name: QTensor}.  Returns an int32 array.  Raises TypeError for a layer of points (points.py).
    """
    match layer:
        case models.Conv2d():
            return conv2d(x, weights[layer.name].data, layer.pad)
        case models.Linear():
            return linear(x, weights[layer.name].data)
        case models.MaxPool2d():
            return max_pool2d(x, layer.size)
        case models.ReLU():
            return relu(x)
        case models.Flatten():
            return flatten(x)
    raise TypeError(f"no INT8 forward for {layer!r}")


def forward_block(block, weights, x, record=None):
    """One block: matmul, the weightless layers behind it, requantise.

    The layers run tile by tile over the batch, so that no accumulator of the whole batch exists before pooling; the
    requantisation needs the maximum over the whole batch and comes last.
    x: QTensor (N, ...).  record: None, or called as record(op, block's name, array) with what each op returns.
    Returns QTensor (N, ...).
    """
    name = block[0].name

    def run(part, record=None):
        for layer in block:
            part = apply_layer(layer, weights, part)
            if record:
                record(type(layer).__name__, name, part)
        return part

    if record:   # sees every op on the whole batch
        accumulator = run(x.data, record)
    else:
        n, *sample_shape = x.data.shape
        accumulator = np.empty((n, *models.output_shape(block, sample_shape)), np.int32)

        def fill(tile):
            accumulator[tile] = run(x.data[tile])

        length, workers = tiling(block, sample_shape, n, "int32")   # samples of a tile, threads
        for_tiles(n, length, fill, workers)
    out = requantise(accumulator, x.exponent + weights[name].exponent)
    if record:
        record("requantise", name, out)
    return out


def forward(layers, weights, x, record=None):
    """The forward pass of a list of layers.  x: QTensor (N, ...) -> QTensor (N, ...).  record: see forward_block."""
    for block in models.blocks(layers):
        point_block = isinstance(block[0], models.PointLinear)
        x = (points.forward_block if point_block else forward_block)(block, weights, x, record)
    return x
