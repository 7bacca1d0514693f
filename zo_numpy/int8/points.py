"""INT8 forwards of PointNet's layers on points: the shared MLP and the maximum over the points.

The twin of fp32/points.py, without batch norm: requantisation rescales each layer as it is. Shapes are (N, P, C); in
memory the channel varies slowest, (C, N, P), and no result depends on it.

Requantisation needs the largest accumulator of the whole batch. So the accumulators of a block stand whole in one int32
buffer, filled tile by tile and then, their maximum known, brought back to int8 tile by tile (`forward_inner`). The
widest block, the last, is spared that: the maximum over the points comes before its requantisation, so each tile of
channels of a sample is reduced to its maxima and forgotten (`forward_pooled`).
"""
import numpy as np

from .. import models
from ..shapes import max_over_points, relu
from ..tiles import for_tiles
from .arith import QTensor, check_terms, matmul, max_abs, narrowed, requantise, shift_for

TILE_BYTES = 1 << 19   # of accumulators that a thread works on at a time, so that they stay in cache


def from_points(points):
    """Clouds as they are decoded before training, (N, P, 3) int8 in -127..127 -> the network's input, exponent -7
    (CHOICE 33)."""
    return QTensor(points, -7)


def point_linear(x, weight):
    """One linear layer for every point, no bias.  x: (N, P, C) int8, weight: (C_out, C) int8.

    Returns the accumulator (N, P, C_out) int32.
    """
    n, points, channels = x.shape
    check_terms(channels)
    columns = np.ascontiguousarray(x.transpose(2, 0, 1).reshape(channels, n * points), np.int32)
    return matmul(weight.astype(np.int32), columns).reshape(-1, n, points).transpose(1, 2, 0)


def forward_plain(block, weights, x, record):
    """A block layer by layer on the whole batch: what the other two compute, and what a record sees.

    Arguments and result as of `forward_block`.
    """
    name, data = block[0].name, x.data
    for layer in block:
        match layer:
            case models.PointLinear():
                data = point_linear(data, weights[name].data)
            case models.MaxOverPoints():
                data = max_over_points(data)
            case models.ReLU():
                data = relu(data)
        if record:
            record(type(layer).__name__, name, data)
    out = requantise(data, x.exponent + weights[name].exponent)
    if record:
        record("requantise", name, out)
    return out


def forward_inner(block, weights, x):
    """A block that keeps its points: PointLinear and ReLU, tile by tile over the points of all samples."""
    weight = weights[block[0].name]
    n, points, channels = x.data.shape
    check_terms(channels)
    columns = x.data.transpose(2, 0, 1).reshape(channels, n * points)
    rows = weight.data.astype(np.int32)
    accumulator = np.empty((len(rows), n * points), np.int32)
    data = np.empty(accumulator.shape, np.int8)
    length = max(1, TILE_BYTES // (4 * len(rows)))

    def product(tile):
        part = matmul(rows, np.ascontiguousarray(columns[:, tile], np.int32))
        return max_abs(np.maximum(part, 0, out=accumulator[:, tile]))   # ReLU

    largest = max(for_tiles(n * points, length, product))

    def narrow(tile):
        data[:, tile] = narrowed(accumulator[:, tile], largest)

    for_tiles(n * points, length, narrow)
    return QTensor(data.reshape(-1, n, points).transpose(1, 2, 0),
                   x.exponent + weight.exponent + shift_for(largest))


def stream(weight, x, see):
    """Multiplies weight (C_out, C) int8 into the points of x (N, P, C) int8, a tile of channels of a sample at a time.

    see: called as see(rows, sample, product) for each tile, from several threads: a slice of the channels, an index,
    and (rows, P) int32.
    """
    n, points, channels = x.shape
    check_terms(channels)
    weight, height = weight.astype(np.int32), max(1, TILE_BYTES // (4 * points))

    def run(samples):
        for i in range(samples.start, samples.stop):
            cloud = np.ascontiguousarray(x[i].T, np.int32)                            # (C, P)
            for start in range(0, len(weight), height):
                rows = slice(start, start + height)
                see(rows, i, matmul(weight[rows], cloud))

    for_tiles(n, 1, run)


def forward_pooled(block, weights, x):
    """A block that ends in the maximum over the points, streamed: its accumulators never stand whole (CHOICE 32)."""
    weight = weights[block[0].name]
    largest = np.empty((len(weight.data), len(x.data)), np.int32)

    def reduce(rows, i, product):
        largest[rows, i] = product.max(axis=1)

    stream(weight.data, x.data, reduce)
    return requantise(relu(largest.T), x.exponent + weight.exponent)


def forward_block(block, weights, x, record=None):
    """One block: PointLinear, MaxOverPoints in the last, ReLU, requantise; batch norm is passed over.

    x: QTensor (N, P, C).  record: None, or called as record(op, block's name, array) with what each op returns.
    Returns QTensor (N, P, C_out), or (N, C_out) behind the maximum.
    """
    block = models.integer_layers(block)
    if record:   # sees every op on the whole batch
        return forward_plain(block, weights, x, record)
    pooled = any(isinstance(layer, models.MaxOverPoints) for layer in block)
    return (forward_pooled if pooled else forward_inner)(block, weights, x)
