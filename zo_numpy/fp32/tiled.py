"""What training runs: the forward pass in bounded memory and on threads, and the tail's update in place.

Equal to layers.py, points.py and tail.py, which compute the same plainly, on whole tensors, except that sums in another
order differ in their last bits.

Batch norm follows a linear layer, so its statistics are known before the layer is computed: they are those of the
layer's input seen through its weights. Normalisation then is a scale of the weights and a shift, and the widest layer
is never whole in memory: each tile of channels of a sample is reduced to its maxima and forgotten.
"""
import numpy as np

from .. import models
from ..shapes import relu
from ..tiles import cut, for_tiles, tiling
from .layers import apply_layer, network_input
from .points import Statistics, running, scale_and_shift
from .tail import gradient_step, linear_backward, relu_backward, softmax_error

POINT_TILE_BYTES = 1 << 19    # a thread works on so much of a point layer's output at a time, to stay in cache
GRADIENT_BYTES = 65_536       # bytes of a gradient formed at a time


def forward(layers, weights, x, inputs=None, statistics=None):
    """The forward pass of a list of layers.  Returns (N, ...).

    x: (N, ...) float32, or a batch of images as data sets have them, uint8, decoded here tile by tile.
    inputs: None, or a list to which the input of each block is appended.  statistics: see layers.forward_block.
    """
    if inputs is not None:
        x = network_input(x)   # an input that is kept is decoded whole
    for block in models.blocks(layers):
        if inputs is not None:
            inputs.append(x)
        x = forward_block(block, weights, x, statistics)
    return x


def forward_block(block, weights, x, statistics=None):
    """One block, tile by tile.  x: (N, ...).  Returns (N, ...)."""
    kinds = {type(layer) for layer in block}
    if models.PointLinear in kinds:
        models.check_point_block(block, models.BatchNorm)
        return (forward_pooled if models.MaxOverPoints in kinds else _forward_points)(block, weights, x, statistics)
    n, *sample_shape = x.shape
    out = np.empty((n, *models.output_shape(block, sample_shape)), weights[block[0].name + ".weight"].dtype)
    length, workers = tiling(block, sample_shape, n, "float32")   # samples of a tile, threads

    def run(tile):
        value = network_input(x[tile])
        for layer in block:
            value = apply_layer(layer, weights, value)
        out[tile] = value

    for_tiles(n, length, run, workers)
    return out


def _forward_points(block, weights, x, statistics):
    """A block that keeps its points: PointLinear, BatchNorm and ReLU, tile by tile over the points of all samples."""
    n, points, channels = x.shape
    weight, shift = normalised_layer(block, weights, x, statistics)
    columns = x.transpose(2, 0, 1).reshape(channels, -1)
    out = np.empty((len(weight), n * points), weight.dtype)

    def run(tile):
        part = np.matmul(weight, columns[:, tile], out=out[:, tile])
        part += shift[:, None]
        np.maximum(part, 0, out=part)

    for_tiles(n * points, max(1, POINT_TILE_BYTES // (4 * len(weight))), run)
    return out.reshape(-1, n, points).transpose(1, 2, 0)


def forward_pooled(block, weights, x, statistics):
    """A block that ends in the maximum over the points: its product is never whole in memory."""
    weight, shift = normalised_layer(block, weights, x, statistics)
    largest = np.empty((len(weight), len(x)), weight.dtype)

    def reduce(rows, i, product):
        largest[rows, i] = product.max(axis=1)

    stream(weight, x, reduce)
    return relu(largest + shift[:, None]).T


def stream(weight, x, see):
    """Multiplies weight (C_out, C) into the points of x (N, P, C), a tile of channels of one sample at a time.

    see: called as see(rows, sample, product) for each tile, from several threads: a slice of the channels, an index,
    and (rows, P), which see must not keep.
    """
    n, points, _ = x.shape
    height = max(1, POINT_TILE_BYTES // (4 * points))

    def run(samples):
        scratch = np.empty((min(height, len(weight)), points), weight.dtype)
        for i in range(samples.start, samples.stop):
            for start in range(0, len(weight), height):
                rows = slice(start, start + height)
                see(rows, i, np.matmul(weight[rows], x[i].T, out=scratch[:len(weight[rows])]))

    for_tiles(n, 1, run)


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
        used = statistics[norm.name] = _product_statistics(weight, x)
    scale, shift = scale_and_shift(weights[norm.name + ".gamma"], weights[norm.name + ".beta"], used)
    return weight * scale[:, None], shift


def _product_statistics(weight, x):
    """Statistics of point_linear(x, weight), from mean m and covariance S of x: W m, and the diagonal of W S W^T.

    weight: W, (C_out, C).  x: (N, P, C).  Of the product itself, what `batch_statistics` gives.
    """
    n, points, channels = x.shape
    columns, mean = x.transpose(2, 0, 1), x.mean(axis=(0, 1))

    def outer(samples):   # a tile's share of the covariance, (C, C)
        centred = (columns[:, samples] - mean[:, None, None]).reshape(channels, -1)
        return centred @ centred.T

    covariance = sum(for_tiles(n, max(1, POINT_TILE_BYTES // (4 * channels * points)), outer)) / x.dtype.type(n * points)
    return Statistics(weight @ mean, np.maximum(np.einsum("oc,oc->o", weight @ covariance, weight), 0))


def train_tail(tail, weights, logits, inputs, labels, eta_tail, earlier=None):
    """Backpropagation through the tail and its update, in place: parameter -= step.

    logits: (N, classes).  inputs: [array], the input of each linear layer; emptied.  labels: (N,) integers.
    earlier: steps of another pass, from `tail_steps`, of which and of this one the mean is subtracted.
    """
    for name, error, x in backward(tail, weights, logits, inputs, labels):
        for part, place, step in _linear_steps(error, x, eta_tail):
            if earlier:
                step += earlier[name + part][place]
                step /= 2
            weights[name + part][place] -= step
            del step   # before the next is made


def tail_steps(tail, weights, logits, inputs, labels, eta_tail):
    """The same steps without the update: {parameter's name: float32 array}."""
    steps = {}
    for name, error, x in backward(tail, weights, logits, inputs, labels):
        for part, place, step in _linear_steps(error, x, eta_tail):
            if name + part not in steps:
                steps[name + part] = np.empty_like(weights[name + part])
            steps[name + part][place] = step
            del step
    return steps


def backward(tail, weights, logits, inputs, labels):
    """Passes the error back.  Yields (name, error of its output, its input) of each layer, the last one first.

    A layer is yielded after the error has passed through its weights, so they may be changed.
    """
    linears, after_relu = models.weight_layers(tail), models.after_relu(tail)
    error = softmax_error(logits, labels) if linears else None
    while linears:
        name, x, masked, above = linears.pop().name, inputs.pop(), after_relu.pop(), error
        if linears:
            error = linear_backward(error, weights[name + ".weight"])
            if masked:
                error = relu_backward(error, x)
        yield name, above, x


def _linear_steps(error, x, eta_tail):
    """The step of a linear layer's gradients, some rows of the weight at a time, then the bias.

    Rows of a product have the bits that they have in the whole product, but for a row alone, which BLAS sums otherwise:
    there is never one, unless the weight has no other.
    error: (N, out).  x: (N, in).  Yields (".weight" or ".bias", slice of the rows, float32 of that place).
    """
    number = error.shape[1] // max(2, GRADIENT_BYTES // (4 * x.shape[1])) or 1
    for rows in cut(error.shape[1], -(-error.shape[1] // number), 1):
        step = error.T[rows] @ x
        step *= np.float32(eta_tail)
        yield ".weight", rows, step
        del step
    yield ".bias", slice(None), gradient_step(error.sum(axis=0), eta_tail)
