"""What training runs: the forward pass in bounded memory and on threads, and the tail's update in place.

Equal bit for bit to layers.py, points.py and tail.py, which compute the same plainly, on whole tensors.

If a block ends in ReLU, its int32 sums of a whole batch are never in memory. They are rounded half up by S bits, when
the largest of all is known: floor(v / 2^S + 1/2) = ((v >> (S - 1)) + 1) >> 1 for v >= 0. So the S - 1 lowest bits
decide nothing. A tile's own maximum asks for a shift s, at most S. So a tile keeps v >> max(0, s - 1), which fits 8
bits, and is finished in place when S is known (`keep`, `finish`). A port may do the same.

The gradient of a tail's layer is not whole in memory either. It is formed in pieces, twice: first for its largest
magnitude, then for its step. If the batch is so large that the forward pass held more, it is formed once, whole.
"""
import functools

import numpy as np

from .. import models
from ..shapes import relu
from ..tiles import cut, for_tiles, threads, tiling
from .arith import (INPUT_EXPONENT, INT8_MAX, QTensor, check_terms, from_pixels, matmul, max_abs,
                    pseudo_stochastic_shift, requantise, shift_for)
from .layers import apply_layer, check_samples
from .tail import SCALE, linear_backward, own_shift, relu_backward, running_shift, softmax_error

POINT_TILE_BYTES = 1 << 19    # a thread works on so much of a point layer's sums at a time, to stay in cache
GRADIENT_BYTES = 16_384       # bytes of a gradient formed at a time
LARGE_GRADIENT_BYTES = 49_152   # the most, reached where the layer's input has half as many
GRADIENT_COLUMNS = 200        # columns formed at a time: the product runs along them, and powers of two are slower


def forward(layers, weights, x, inputs=None):
    """The forward pass of a list of layers.  Returns QTensor (N, ...).

    x: QTensor (N, ...), or a batch as data sets have it, decoded here tile by tile: see layers.network_input.
    inputs: None, or a list to which the input of each block is appended.
    """
    if not isinstance(x, QTensor):
        check_samples(x)
        x = QTensor(x, INPUT_EXPONENT)
    if inputs is not None and x.data.dtype == np.uint8:
        x = from_pixels(x.data)   # an input that is kept is decoded whole
    for block in models.blocks(models.integer_layers(layers)):
        if inputs is not None:
            inputs.append(x)
        x = forward_block(block, weights, x)
    return x


def forward_block(block, weights, x):
    """One block, tile by tile.  x: QTensor (N, ...).  Returns QTensor (N, ...)."""
    kinds = {type(layer) for layer in block}
    if models.PointLinear in kinds:
        models.check_point_block(block)
        return (forward_pooled if models.MaxOverPoints in kinds else _forward_points)(block, weights, x)
    return (_forward_relu if models.ReLU in kinds else _forward_wide)(block, weights, x)


def _forward_relu(block, weights, x):
    """A block on images or features that ends in ReLU, cut along the batch: 8 bits of each sum are kept."""
    n, *sample_shape = x.data.shape
    kept = np.empty((n, *models.output_shape(block, sample_shape)), np.uint8)
    length, workers = tiling(block, sample_shape, n, "int32")   # samples of a tile, threads

    def run(tile):
        return keep(sums(block, weights, x.data[tile]), kept[tile])

    maxima = for_tiles(n, length, run, workers)
    for tile, largest in zip(cut(n, length, workers), maxima):
        finish(kept[tile], largest, max(maxima))
    return result(block, weights, x, kept.view(np.int8), max(maxima))


def _forward_wide(block, weights, x):
    """A block without ReLU, such as the last one: its sums have signs, and all are kept until they are requantised."""
    n, *sample_shape = x.data.shape
    accumulator = np.empty((n, *models.output_shape(block, sample_shape)), np.int32)
    length, workers = tiling(block, sample_shape, n, "int32")

    def run(tile):
        accumulator[tile] = sums(block, weights, x.data[tile])

    for_tiles(n, length, run, workers)
    return requantise(accumulator, x.exponent + weights[block[0].name].exponent)


def _forward_points(block, weights, x):
    """A block that keeps its points, PointLinear and ReLU, cut along the points of all samples, like `_forward_relu`.

    In memory the channel varies slowest, (C, N, P), so that a tile is a few long runs.
    """
    weight = weights[block[0].name].data.astype(np.int32)
    n, points, channels = x.data.shape
    check_terms(channels)
    columns = x.data.transpose(2, 0, 1).reshape(channels, n * points)
    kept = np.empty((len(weight), n * points), np.uint8)
    length, workers = max(1, POINT_TILE_BYTES // (4 * len(weight))), threads()

    def run(tile):
        product = matmul(weight, np.ascontiguousarray(columns[:, tile], np.int32))
        return keep(np.maximum(product, 0, out=product), kept[:, tile])

    maxima = for_tiles(n * points, length, run, workers)
    for tile, largest in zip(cut(n * points, length, workers), maxima):
        finish(kept[:, tile], largest, max(maxima))
    data = kept.view(np.int8).reshape(-1, n, points).transpose(1, 2, 0)
    return result(block, weights, x, data, max(maxima))


def forward_pooled(block, weights, x):
    """A block that ends in the maximum over the points and ReLU.

    Each tile of channels of a sample is reduced to its maxima and forgotten, as the maximum comes before the
    requantisation (CHOICE 32).
    """
    weight = weights[block[0].name]
    largest = np.empty((len(weight.data), len(x.data)), np.int32)

    def reduce(rows, i, product):
        largest[rows, i] = product.max(axis=1)

    stream(weight.data, x.data, reduce)
    return requantise(relu(largest.T), x.exponent + weight.exponent)


def stream(weight, x, see):
    """Multiplies weight (C_out, C) int8 into the points of x (N, P, C) int8, a tile of channels of a sample at a time.

    see: called as see(rows, sample, product) for each tile, from several threads: a slice of the channels, an index,
    and (rows, P) int32.
    """
    n, points, channels = x.shape
    check_terms(channels)
    weight, height = weight.astype(np.int32), max(1, POINT_TILE_BYTES // (4 * points))

    def run(samples):
        for i in range(samples.start, samples.stop):
            cloud = np.ascontiguousarray(x[i].T, np.int32)                            # (C, P)
            for start in range(0, len(weight), height):
                rows = slice(start, start + height)
                see(rows, i, matmul(weight[rows], cloud))

    for_tiles(n, 1, run)


def sums(block, weights, x):
    """A block of images or features before its requantisation, on some samples.  x: int8, or pixels.  Returns int32."""
    value = from_pixels(x).data if x.dtype == np.uint8 else x
    for layer in block:
        value = apply_layer(layer, weights, value)
    return value


def keep(tile, out):
    """Stores in `out` the bits of a tile that may still matter.  Returns the tile's largest value.

    tile: int32, not negative, overwritten.  out: uint8, same shape.
    """
    largest = int(tile.max())
    tile >>= max(0, shift_for(largest) - 1)
    out[...] = tile
    return largest


def finish(kept, largest, of_all):
    """Turns what `keep` kept into int8, in place.  largest, of_all: the largest of the tile and of the batch."""
    shift = shift_for(of_all)
    if shift:
        kept >>= shift - 1 - max(0, shift_for(largest) - 1)   # now v >> (S - 1)
        half = kept & 1
        kept >>= 1
        kept += half
        np.minimum(kept, INT8_MAX, out=kept)


def result(block, weights, x, data, largest):
    """The QTensor of a finished block."""
    return QTensor(data, x.exponent + weights[block[0].name].exponent + shift_for(largest))


def train_tail(tail, weights, logits, inputs, labels, b_bp, earlier=None):
    """Backpropagation through the tail and its update, in place: weight -= step, clipped to +-127.

    logits: QTensor (N, classes).  inputs: [QTensor], the input of each linear layer; emptied.  labels: (N,) integers.
    earlier: steps of another pass, from `tail_steps`, that are subtracted too (CHOICE 8).
    """
    for name, error, x in backward(tail, weights, logits, inputs, labels):
        weight = weights[name].data
        for place, step in _linear_steps(error, x, b_bp, weights.get(name + SCALE)):
            if earlier:
                step += earlier[name][place]
            np.subtract(weight[place], step, out=step)
            weight[place] = np.clip(step, -INT8_MAX, INT8_MAX, out=step)
            del step   # before the next is made


def tail_steps(tail, weights, logits, inputs, labels, b_bp):
    """The same steps without the update: {name: (out, in) int16}, which take less memory while they wait than the
    int32 of tail.tail_steps."""
    steps = {}
    for name, error, x in backward(tail, weights, logits, inputs, labels):
        steps[name] = np.empty(weights[name].data.shape, np.int16)
        for place, step in _linear_steps(error, x, b_bp, weights.get(name + SCALE)):
            steps[name][place] = step
            del step
    return steps


def backward(tail, weights, logits, inputs, labels):
    """Passes the error back.  Yields (name, error of its output, its input) of each layer, the last one first; error
    and input are QTensors.

    A layer is yielded after the error has passed through its weights, so they may be changed.
    """
    linears, after_relu = models.weight_layers(tail), models.after_relu(tail)
    error = softmax_error(logits, labels) if linears else None
    while linears:
        name, x, masked, above = linears.pop().name, inputs.pop(), after_relu.pop(), error
        if linears:
            passed = linear_backward(error.data, weights[name].data)
            if masked:
                passed = relu_backward(passed, x.data)
            error = requantise(passed, error.exponent + weights[name].exponent)
            del passed
        yield name, above, x


def _linear_steps(error, x, b_bp, scale=None):
    """The step of a linear layer's gradient, piece by piece.  Yields ((rows, columns), int32 of that place).

    error: QTensor (N, out).  x: QTensor (N, in).  scale: None, or the layer's running scale, changed in place.
    """
    form = functools.partial(_gradient_pieces, error.data, x.data)
    pieces = list(form()) if formed_once(*error.data.shape) else None
    if len(x.data) == 1:   # an outer product
        largest = max_abs(error.data) * max_abs(x.data)
    else:
        largest = max(max_abs(piece) for _, piece in pieces or form())
    shift = (own_shift(largest, b_bp) if scale is None else
             running_shift(largest, error.exponent + x.exponent, b_bp, scale))
    for place, piece in pieces or form():
        step = pseudo_stochastic_shift(piece, shift)
        del piece
        yield place, step
        del step


def _gradient_pieces(error, x):
    """The gradient error^T x piece by piece.  Yields ((rows, columns), int32 of that place), which may be overwritten.

    error: (N, out) int8.  x: (N, in) int8.
    """
    check_terms(len(x))
    error = np.ascontiguousarray(error.T)                                             # (out, N)
    width = min(x.shape[1], GRADIENT_COLUMNS)
    height = max(1, piece_bytes(x.nbytes) // (4 * width))
    for left in range(0, x.shape[1], width):
        columns = slice(left, left + width)
        for top in range(0, len(error), height):
            rows = slice(top, top + height)
            yield (rows, columns), matmul(error[rows], x[:, columns])


def formed_once(samples, out_features):
    """Whether a layer's gradient may be whole in memory: where it has at most twice the bytes of the layer's input."""
    return 2 * out_features <= samples


def piece_bytes(inputs):
    """How much of a gradient is formed at a time: twice the layer's inputs, in bytes, within bounds."""
    return min(max(GRADIENT_BYTES, 2 * inputs), LARGE_GRADIENT_BYTES)
