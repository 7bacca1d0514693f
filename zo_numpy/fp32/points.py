"""FP32 forwards of the layers that only point clouds have: the shared MLP and batch norm.

Shapes are (N, P, C). In memory the channel varies slowest, (C, N, P): a shared layer is one matrix product, and what
batch norm and the maximum reduce lies in runs. No result depends on it, but for the last bits of sums. The twin is
int8/points.py. The maximum over the points is in shapes.py.

In training every forward pass of a step normalises by its own batch's statistics, at theta + z as at theta - z. The
running ones, which evaluation uses, move once a step, after the update of the weights: towards those of the last pass
alone (the second one; of several queries that of the last query; of the frozen control the only one).
"""
from typing import NamedTuple

import numpy as np

EPSILON = 1e-5       # added to a variance, so that nothing is divided by zero
MOMENTUM = 0.1       # the share of a new batch in the running statistics


class Statistics(NamedTuple):
    """Mean and variance of each channel over batch and points.  (C,) float32 each."""
    mean: np.ndarray
    var: np.ndarray


def point_linear(x, weight):
    """One linear layer for every point.  x: (N, P, C) float32, weight: (C_out, C).  Returns (N, P, C_out)."""
    n, points, channels = x.shape
    columns = x.transpose(2, 0, 1).reshape(channels, n * points)
    return (weight @ columns).reshape(-1, n, points).transpose(1, 2, 0)


def batch_statistics(x):
    """Statistics of a batch.  x: (N, P, C)."""
    mean = x.mean(axis=(0, 1))
    centred = x - mean
    return Statistics(mean, np.square(centred).mean(axis=(0, 1)))


def scale_and_shift(gamma, beta, statistics):
    """Batch norm as a line in each channel, scale * x + shift.  Returns (C,), (C,) float32."""
    scale = gamma / np.sqrt(statistics.var + np.float32(EPSILON))
    return scale, beta - statistics.mean * scale


def batch_norm(x, gamma, beta, statistics):
    """gamma * (x - mean) / sqrt(var + EPSILON) + beta in each channel.  x: (N, P, C).  Returns the same shape."""
    scale, shift = scale_and_shift(gamma, beta, statistics)
    return x * scale + shift


def update_running(weights, statistics):
    """Moves the running statistics towards those of a batch, in place.  statistics: {norm's name: Statistics}."""
    for name, batch in statistics.items():
        for part in ("mean", "var"):
            moved = weights[f"{name}.{part}"]
            moved += np.float32(MOMENTUM) * (getattr(batch, part) - moved)


def running(weights, name):
    """The running Statistics of a batch norm."""
    return Statistics(weights[name + ".mean"], weights[name + ".var"])


def evaluation_scale(weights, name):
    """The scale of a batch norm under its running statistics, for fine-tuning in INT8 (transfer.py).  (C,)"""
    return scale_and_shift(weights[name + ".gamma"], weights[name + ".beta"], running(weights, name))[0]
