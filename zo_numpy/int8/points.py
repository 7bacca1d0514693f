"""INT8 forwards of the layers that only point clouds have: the shared MLP, and clouds as a network takes them.

The twin of fp32/points.py, without batch norm: requantisation rescales each layer as it is. Shapes are (N, P, C); in
memory the channel varies slowest, (C, N, P), and no result depends on it. The maximum over the points is in shapes.py.
"""
import numpy as np

from .arith import INPUT_EXPONENT, QTensor, check_terms, matmul


def from_points(points):
    """Clouds as they are decoded before training, (N, P, 3) int8 in -127..127 -> the network's input, exponent -7
    (CHOICE 33)."""
    return QTensor(points, INPUT_EXPONENT)


def point_linear(x, weight):
    """One linear layer for every point, no bias.  x: (N, P, C) int8, weight: (C_out, C) int8.

    Returns the accumulator (N, P, C_out) int32.
    """
    n, points, channels = x.shape
    check_terms(channels)
    columns = np.ascontiguousarray(x.transpose(2, 0, 1).reshape(channels, n * points), np.int32)
    return matmul(weight.astype(np.int32), columns).reshape(-1, n, points).transpose(1, 2, 0)
