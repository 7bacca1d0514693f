"""Full BP in FP32 of PointNet's layers on points: backwards of the shared MLP, of batch norm, of the maximum.

Batch norm ties all points of a batch together: the error of its input is the error of its output, minus two terms that
every point shares through the mean and the variance,

    dh = s * (dy - sum(dy) / M - xhat * sum(dy * xhat) / M),   s = gamma / sqrt(var + EPSILON), M = N P.

Below the maximum, dy is zero except at one point for each channel and sample. What reaches all other points is then
linear in the product h = W x itself, and passes through W and through the Gram matrix of x. So no array of all channels
and points is made here either. int8_points.py is the twin, which has no batch norm.
"""
import numpy as np

from zo_numpy import models
from zo_numpy.fp32 import layers, tiled
from zo_numpy.fp32.points import EPSILON, point_linear
from zo_numpy.fp32.tiled import normalised_layer
from zo_numpy.shapes import relu

from .shapes import added_by_point


def forward_block_kept(block, weights, x, record=None, statistics=None):
    """`forward_block` in training, and where each maximum was: (N, C) intp, or None in a block without one.

    statistics: the mapping that the batch's are put into.
    """
    if record:   # sees every op on the whole batch
        out = layers.forward_block(block, weights, x, statistics, record)
    if not any(isinstance(layer, models.MaxOverPoints) for layer in block):
        return out if record else tiled.forward_block(block, weights, x, statistics), None
    weight, shift = normalised_layer(block, weights, x, statistics)
    largest, where = np.empty((len(weight), len(x)), weight.dtype), np.empty((len(weight), len(x)), np.intp)

    def reduce(rows, i, product):
        where[rows, i], largest[rows, i] = product.argmax(axis=1), product.max(axis=1)

    tiled.stream(weight, x, reduce)
    return out if record else relu(largest + shift[:, None]).T, where.T


def batch_norm_backward(error, x, gamma, statistics):
    """Back through batch norm with the batch's own statistics.

    error, x: (N, P, C), of its output and its input.  Returns (dL/dgamma, dL/dbeta, dL/dx): (C,), (C,), (N, P, C).
    """
    inverse = 1 / np.sqrt(statistics.var + x.dtype.type(EPSILON))
    normalised = (x - statistics.mean) * inverse
    gamma_gradient, beta_gradient = (error * normalised).sum(axis=(0, 1)), error.sum(axis=(0, 1))
    count = x.shape[0] * x.shape[1]
    passed = gamma * inverse * (error - beta_gradient / count - normalised * (gamma_gradient / count))
    return gamma_gradient, beta_gradient, passed


def point_linear_gradient(error, x):
    """dL/dweight of a shared layer.  error: (N, P, C_out).  x: (N, P, C).  Returns (C_out, C)."""
    return as_columns(error) @ as_columns(x).T


def point_linear_backward(error, weight):
    """dL/dinput of a shared layer.  error: (N, P, C_out).  weight: (C_out, C).  Returns (N, P, C)."""
    return point_linear(error, weight.T)


def as_columns(x):
    """(N, P, C) -> (C, N P)."""
    return x.transpose(2, 0, 1).reshape(x.shape[2], -1)


def pooled_block_backward(error, x, weight, gamma, statistics, where):
    """Back through the maximum, batch norm and the shared layer of the widest block, without its product.

    error: (N, C_out), of the maxima.  x: (N, P, C).  where: (N, C_out), the point of each maximum.
    Returns (dL/dweight, dL/dgamma, dL/dbeta, dL/dx).
    """
    n, points, channels = x.shape
    picked = np.stack([x[i][where[i]] for i in range(n)])                             # (N, C_out, C): their points
    product = np.einsum("noc,oc->no", picked, weight)                                 # h at the maxima
    inverse = 1 / np.sqrt(statistics.var + x.dtype.type(EPSILON))
    normalised = (product - statistics.mean) * inverse
    gamma_gradient, beta_gradient = (error * normalised).sum(axis=0), error.sum(axis=0)

    scale, count = gamma * inverse, n * points
    own = scale * error                                                               # s * dy at the maxima
    slope = scale * inverse * gamma_gradient / count        # of what every point gets: -(level + slope * h)
    level = scale * beta_gradient / count - slope * statistics.mean
    columns = as_columns(x)
    gram, total = columns @ columns.T, columns.sum(axis=1)
    weight_gradient = np.einsum("no,noc->oc", own, picked)
    weight_gradient -= np.outer(level, total) + slope[:, None] * (weight @ gram)
    passed = point_linear(x, -(weight.T * slope) @ weight)
    passed -= level @ weight
    for i in range(n):
        at, sums = added_by_point(where[i], own[i][:, None] * weight)
        passed[i][at] += sums
    return weight_gradient, gamma_gradient, beta_gradient, passed


def block_backward(block, weights, error, x, statistics, where, pass_on):
    """Back through a block of points, after the ReLU's backward.

    error: of the block's output.  x: (N, P, C), its input.  statistics: of the batch, by norm.  where: from
    `forward_block_kept`.  pass_on: whether a layer lies below.  Returns ({parameter: gradient}, error of x or None).
    """
    layer, norm = block[0].name, block[1].name
    weight, gamma = weights[layer + ".weight"], weights[norm + ".gamma"]
    if where is not None:
        weight_gradient, gamma_gradient, beta_gradient, passed = pooled_block_backward(
            error, x, weight, gamma, statistics[norm], where)
    else:
        gamma_gradient, beta_gradient, inside = batch_norm_backward(
            error, point_linear(x, weight), gamma, statistics[norm])
        weight_gradient = point_linear_gradient(inside, x)
        passed = point_linear_backward(inside, weight) if pass_on else None
    return {layer + ".weight": weight_gradient, norm + ".gamma": gamma_gradient, norm + ".beta": beta_gradient}, passed
