"""Full BP in INT8 of PointNet's layers on points: backwards of the shared MLP and of the maximum.

The twin of fp32_points.py. Without batch norm the maximum sends an error to one point a channel and sample, and nothing
to the others: the gradient of the widest layer is a sum over those points alone.
"""
import numpy as np

from zo_numpy import models
from zo_numpy.int8 import layers, tiled
from zo_numpy.int8.arith import MAX_TERMS, check_terms, matmul, requantise
from zo_numpy.int8.points import point_linear
from zo_numpy.shapes import relu

from .shapes import added_by_point


def forward_block_kept(block, weights, x, record=None):
    """`forward_block`, and where each maximum was: (N, C) intp, the first of equals, or None in a block without one."""
    block = models.integer_layers(block)
    if record:   # sees every op on the whole batch
        out = layers.forward_block(block, weights, x, record)
    if not any(isinstance(layer, models.MaxOverPoints) for layer in block):
        return out if record else tiled.forward_block(block, weights, x), None
    weight = weights[block[0].name]
    shape = len(weight.data), len(x.data)
    largest, where = np.empty(shape, np.int32), np.empty(shape, np.intp)

    def reduce(rows, i, product):
        where[rows, i], largest[rows, i] = product.argmax(axis=1), product.max(axis=1)

    tiled.stream(weight.data, x.data, reduce)
    return out if record else requantise(relu(largest.T), x.exponent + weight.exponent), where.T


def point_linear_gradient(error, x):
    """dL/dweight of a shared layer, summed over batch and points.

    error: (N, P, C_out) int8.  x: (N, P, C) int8.  Returns (C_out, C) int32, or int64 where the sum could exceed int32.
    """
    terms = x.shape[0] * x.shape[1]
    total = np.zeros((error.shape[2], x.shape[2]), np.int32 if terms <= MAX_TERMS else np.int64)
    length = max(1, MAX_TERMS // x.shape[1])
    for start in range(0, len(x), length):
        a, b = (part[start:start + length] for part in (error, x))
        check_terms(len(a) * a.shape[1])
        total += matmul(np.ascontiguousarray(a.transpose(2, 0, 1).reshape(a.shape[2], -1), np.int32),
                        np.ascontiguousarray(b.reshape(-1, b.shape[2]), np.int32))
    return total


def point_linear_backward(error, weight):
    """dL/dinput of a shared layer.  error: (N, P, C_out) int8.  weight: (C_out, C) int8.  Returns (N, P, C) int32."""
    return point_linear(error, weight.T)


def pooled_block_backward(error, x, weight, where):
    """Back through the maximum and the shared layer of the widest block.

    error: (N, C_out) int8, of the maxima.  x: (N, P, C) int8.  where: (N, C_out), the point of each maximum.
    Returns (dL/dweight, dL/dx): (C_out, C) int32, (N, P, C) int32.
    """
    check_terms(len(weight))
    check_terms(len(x))
    total, passed = np.zeros(weight.shape, np.int32), np.zeros(x.shape, np.int32)
    for i in range(len(x)):
        own = error[i][:, None].astype(np.int32)
        total += own * x[i][where[i]]                                                 # (C_out, C)
        at, sums = added_by_point(where[i], own * weight)
        passed[i][at] = sums
    return total, passed


def block_backward(weight, error, x, where, pass_on):
    """Back through a block of points, after the ReLU's backward.

    error: int8, of the block's output.  x: (N, P, C) int8, its input.  where: from `forward_block_kept`.
    pass_on: whether a layer lies below.  Returns (gradient, error of x as int32 or None).
    """
    if where is not None:
        return pooled_block_backward(error, x, weight, where)
    return point_linear_gradient(error, x), point_linear_backward(error, weight) if pass_on else None
