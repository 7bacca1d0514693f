"""FP32 forwards of PointNet's layers on points: the shared MLP, batch norm, and the maximum over the points.

Shapes are (N, P, C). In memory the channel varies slowest, (C, N, P): a shared layer is one matrix product, and what
batch norm and the maximum reduce lies in runs. No result depends on it, but for the last bits of sums.

Batch norm follows a linear layer, so its statistics are known before the layer is computed: they are those of the
layer's input seen through its weights. Normalisation then is a scale of the weights and a shift, and the widest layer
never stands in memory: each tile of channels of a sample is reduced to its maxima and forgotten. The twin is
int8/points.py.

In training every forward pass of a step normalises by its own batch's statistics, at theta + z as at theta - z. The
running ones, which evaluation uses, move once a step, after the update of the weights: towards those of the last pass
alone (the second one; of several queries that of the last query; of the frozen control the only one).
"""
from typing import NamedTuple

import numpy as np

from .. import models
from ..shapes import max_over_points, relu
from ..tiles import for_tiles

EPSILON = 1e-5       # added to a variance, so that nothing is divided by zero
MOMENTUM = 0.1       # the share of a new batch in the running statistics
TILE_BYTES = 1 << 19   # of a layer's output that a thread works on at a time, so that it stays in cache


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


def product_statistics(weight, x):
    """Statistics of point_linear(x, weight), from mean m and covariance S of x: W m, and the diagonal of W S W^T.

    weight: W, (C_out, C).  x: (N, P, C).  Of the product itself, what `batch_statistics` gives.
    """
    n, points, channels = x.shape
    columns, mean = x.transpose(2, 0, 1), x.mean(axis=(0, 1))

    def outer(samples):   # a tile's share of the covariance, (C, C)
        centred = (columns[:, samples] - mean[:, None, None]).reshape(channels, -1)
        return centred @ centred.T

    covariance = sum(for_tiles(n, max(1, TILE_BYTES // (4 * channels * points)), outer)) / x.dtype.type(n * points)
    return Statistics(weight @ mean, np.maximum(np.einsum("oc,oc->o", weight @ covariance, weight), 0))


def running(weights, name):
    """The running Statistics of a batch norm."""
    return Statistics(weights[name + ".mean"], weights[name + ".var"])


def evaluation_scale(weights, name):
    """The scale of a batch norm under its running statistics, for fine-tuning in INT8 (transfer.py).  (C,)"""
    return scale_and_shift(weights[name + ".gamma"], weights[name + ".beta"], running(weights, name))[0]


def normalised_layer(block, weights, x, statistics):
    """A block's shared layer and its batch norm in one: (weight, shift), (C_out, C) and (C_out,).

    statistics: None to normalise by the running statistics; or a mapping, and then it is by those of the batch, which
    are put into it.
    """
    layer, norm = block[:2]
    weight = weights[layer.name + ".weight"]
    if statistics is None:
        used = running(weights, norm.name)
    else:
        used = statistics[norm.name] = product_statistics(weight, x)
    scale, shift = scale_and_shift(weights[norm.name + ".gamma"], weights[norm.name + ".beta"], used)
    return weight * scale[:, None], shift


def forward_plain(block, weights, x, record, statistics):
    """A block layer by layer on the whole batch: what the other two compute, and what a record sees.

    Arguments and result as of `forward_block`.
    """
    name, norm = block[0].name, block[1].name
    for layer in block:
        match layer:
            case models.PointLinear():
                x = point_linear(x, weights[name + ".weight"])
            case models.BatchNorm():
                used = running(weights, norm)
                if statistics is not None:
                    used = statistics[norm] = batch_statistics(x)
                for part in used._fields if record else ():
                    record("batch_statistics", f"{norm}.{part}", getattr(used, part))
                x = batch_norm(x, weights[norm + ".gamma"], weights[norm + ".beta"], used)
            case models.MaxOverPoints():
                x = max_over_points(x)
            case models.ReLU():
                x = relu(x)
        if record:
            record(type(layer).__name__, norm if isinstance(layer, models.BatchNorm) else name, x)
    return x


def forward_inner(block, weights, x, statistics):
    """A block that keeps its points: PointLinear, BatchNorm and ReLU, tile by tile over the points of all samples."""
    n, points, channels = x.shape
    weight, shift = normalised_layer(block, weights, x, statistics)
    columns = x.transpose(2, 0, 1).reshape(channels, -1)
    out = np.empty((len(weight), n * points), weight.dtype)

    def run(tile):
        part = np.matmul(weight, columns[:, tile], out=out[:, tile])
        part += shift[:, None]
        np.maximum(part, 0, out=part)

    for_tiles(n * points, max(1, TILE_BYTES // (4 * len(weight))), run)
    return out.reshape(-1, n, points).transpose(1, 2, 0)


def stream(weight, x, see):
    """Multiplies weight (C_out, C) into the points of x (N, P, C), a tile of channels of one sample at a time.

    see: called as see(rows, sample, product) for each tile, from several threads: a slice of the channels, an index,
    and (rows, P), which see must not keep.
    """
    n, points, _ = x.shape
    height = max(1, TILE_BYTES // (4 * points))

    def run(samples):
        scratch = np.empty((min(height, len(weight)), points), weight.dtype)
        for i in range(samples.start, samples.stop):
            for start in range(0, len(weight), height):
                rows = slice(start, start + height)
                see(rows, i, np.matmul(weight[rows], x[i].T, out=scratch[:len(weight[rows])]))

    for_tiles(n, 1, run)


def forward_pooled(block, weights, x, statistics):
    """A block that ends in the maximum over the points, streamed: its product never stands whole."""
    weight, shift = normalised_layer(block, weights, x, statistics)
    largest = np.empty((len(weight), len(x)), weight.dtype)

    def reduce(rows, i, product):
        largest[rows, i] = product.max(axis=1)

    stream(weight, x, reduce)
    return relu(largest + shift[:, None]).T


def forward_block(block, weights, x, record=None, statistics=None):
    """One block: PointLinear, BatchNorm, MaxOverPoints in the last, ReLU.

    x: (N, P, C) float32.
    record: None, or called as record(op, name, array) with what each op returns, under the block's name; batch norm
    under its own, and before it what it normalises by, "norm.mean" and "norm.var" of the op batch_statistics.
    statistics: None in evaluation, which normalises by the running statistics; in training a mapping that those of the
    batch, by which it normalises, are put into: {norm's name: Statistics}.
    Returns (N, P, C_out), or (N, C_out) behind the maximum.
    """
    if record:   # sees every op on the whole batch
        return forward_plain(block, weights, x, record, statistics)
    pooled = any(isinstance(layer, models.MaxOverPoints) for layer in block)
    return (forward_pooled if pooled else forward_inner)(block, weights, x, statistics)
