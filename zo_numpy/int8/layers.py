"""INT8 forwards of every layer, and the forward pass of a list of layers, plainly and on a whole batch.

No backwards: those of the tail are in tail.py. Training runs the same numbers in bounded memory, see tiled.py.

A layer with weights takes int8 and returns its int32 accumulator; the weightless layers that follow it (max-pool, ReLU,
flatten) work on the accumulator; one requantisation at the end of the block brings it back to int8, so that int8's
range is spent only on what survives pooling and ReLU (CHOICE 2). Pooling comes first, as it commutes with ReLU and
leaves four times less to do.

Shapes are (N, C, H, W) and (N, features); shapes.py has the layers that only move and compare, points.py those of clouds.
"""
import numpy as np

from .. import models
from ..shapes import flatten, max_over_points, max_pool2d, patches, relu
from .arith import INPUT_EXPONENT, check_terms, from_pixels, matmul, requantise
from .points import from_points, point_linear


def network_input(samples):
    """A batch as the network takes it: images (N, C, H, W) uint8, or decoded clouds (N, P, 3) int8.  A QTensor."""
    check_samples(samples)
    return from_pixels(samples) if samples.dtype == np.uint8 else from_points(samples)


def check_samples(samples):
    """Raises TypeError for what would be cut to int8 without a word, such as pixels as floats from 0 to 1."""
    if samples.dtype not in (np.uint8, np.int8):
        raise TypeError(f"samples of {samples.dtype}: give images as uint8, clouds as int8 (clouds.quantised_clouds)")


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
    """One layer of models.py: with weights on int8, without on the int32 accumulator of the one before it.

    weights: {layer's name: QTensor}.  Returns an int32 array.  Raises TypeError for a layer that INT8 has not.
    """
    match layer:
        case models.Conv2d():
            return conv2d(x, weights[layer.name].data, layer.pad)
        case models.Linear():
            return linear(x, weights[layer.name].data)
        case models.PointLinear():
            return point_linear(x, weights[layer.name].data)
        case models.MaxPool2d():
            return max_pool2d(x, layer.size)
        case models.MaxOverPoints():
            return max_over_points(x)
        case models.ReLU():
            return relu(x)
        case models.Flatten():
            return flatten(x)
    raise TypeError(f"no INT8 forward for {layer!r}")


def forward_block(block, weights, x, record=None):
    """One block: matmul, the weightless layers that follow it, requantise (CHOICE 2).

    x: QTensor (N, ...).  record: None, or called as record(op, block's name, array) with what each op returns.
    Returns QTensor (N, ...).
    """
    name, value = block[0].name, x.data
    for layer in block:
        value = apply_layer(layer, weights, value)
        if record:
            record(type(layer).__name__, name, value)
    out = requantise(value, x.exponent + weights[name].exponent)
    if record:
        record("requantise", name, out)
    return out


def forward(layers, weights, x, inputs=None, record=None):
    """The forward pass of a list of layers; batch norm is passed over.  x: QTensor (N, ...) -> QTensor (N, ...).

    inputs: None, or a list to which the input of each block is appended.  record: see `forward_block`.
    """
    for block in models.blocks(models.integer_layers(layers)):
        if inputs is not None:
            inputs.append(x)
        x = forward_block(block, weights, x, record)
    return x
