"""Full BP in INT8: the backwards that ElasticZO-INT8 does without, and a training step made of them.

After NITI (Wang et al., arXiv 2009.13108): errors are int8 with one exponent a tensor, requantised after
every block; gradients are integer sums over batch and image, shifted to b_bp bits. Forwards, losses, and the
backwards of linear and ReLU are those of zo_numpy.int8; new are those of convolution and max-pool, and what
has to be kept for them. No momentum, no moving exponents. fp32.py is the twin.
"""
import functools

import numpy as np

from zo_numpy import models
from zo_numpy.int8 import layers, tiled
from zo_numpy.int8.arith import MAX_TERMS, QTensor, matmul, requantise
from zo_numpy.int8.layers import apply_layer, conv2d, network_input
from zo_numpy.int8.loss import loss_named
from zo_numpy.int8.tail import (linear_backward, linear_gradient, relu_backward, softmax_error, steps_of_gradients,
                                update_tail)
from zo_numpy.shapes import patches
from zo_numpy.tiles import for_tiles, tiling

from . import int8_points
from .shapes import flatten_backward, max_pool2d_argmax, max_pool2d_backward, places_shape, pooling, transposed, turned


def conv2d_gradient(error, x, kernel, pad):
    """dL/dweight of a convolution, summed over batch and image.

    error: (N, C_out, H', W') int8.  x: (N, C, H, W) int8.
    Returns (C_out, C, k, k) int32, or int64 if N H' W' exceeds MAX_TERMS: then of several sums of int32.
    """
    c_out, c_in = error.shape[1], x.shape[1]
    columns, _ = patches(x, kernel, pad, np.int32)                            # (k, C k, H' N W')
    errors = error.transpose(1, 2, 0, 3).reshape(c_out, -1).astype(np.int32)          # (C_out, H' N W')
    kind = np.int32 if errors.shape[1] <= MAX_TERMS else np.int64
    parts = [slice(start, start + MAX_TERMS) for start in range(0, errors.shape[1], MAX_TERMS)]
    return np.stack([sum(matmul(errors[:, part], row[:, part].T).astype(kind, copy=False) for part in parts)
                     .reshape(c_out, c_in, kernel) for row in columns], axis=2)


def conv2d_backward(error, weight, pad):
    """dL/dinput of a convolution: a convolution of the error with the kernel turned by 180 degrees.

    error: (N, C_out, H', W') int8.  weight: (C_out, C, k, k) int8, as in the forward pass.
    pad: that of `transposed`.  Returns (N, C, H, W) int32.
    """
    return conv2d(error, turned(weight), pad)


def forward_block_kept(block, weights, x, record=None):
    """`forward_block`, and what only the backward pass needs of it: where each maximum of the pooling was.

    The places are of the int32 accumulators, before ReLU.
    x: QTensor (N, ...).  record: see `forward_block`.
    Returns (QTensor (N, ...), uint8 array or None).
    """
    pool = pooling(block)
    if pool is None:
        return (layers.forward_block(block, weights, x, record) if record else
                tiled.forward_block(block, weights, x)), None

    def run(images, record=None):
        where = None
        for layer in block:
            if layer is pool:
                where = max_pool2d_argmax(images, pool.size)
            images = apply_layer(layer, weights, images)
            if record:
                record(type(layer).__name__, block[0].name, images)
        return images, where

    n, *sample_shape = x.data.shape
    if record:   # sees every op on the whole batch
        accumulator, where = run(x.data, record)
    else:
        accumulator = np.empty((n, *models.output_shape(block, sample_shape)), np.int32)
        where = np.empty((n, *places_shape(block, sample_shape)), np.uint8)

        def fill(tile):
            accumulator[tile], where[tile] = run(x.data[tile])

        length, workers = tiling(block, sample_shape, n, "int32")
        for_tiles(n, length, fill, workers)
    out = requantise(accumulator, x.exponent + weights[block[0].name].exponent)
    if record:
        record("requantise", block[0].name, out)
    return out, where


def conv_block_backward(block, weight, error, x, where, pass_on):
    """Back through a convolution's block, tile by tile over the batch, after the ReLU's backward.

    weight: (C_out, C, k, k) int8.  error: int8, of the block's output.  x: (N, C, H, W) int8, its input.
    where: from `forward_block_kept`.  pass_on: whether a layer lies below.
    Returns (gradient, error of the input or None): (C_out, C, k, k) int32, or int64 where the sum over batch
    and image could exceed int32; (N, C, H, W) int32.
    """
    conv, pool = block[0], pooling(block)
    below = transposed(conv)
    n, *sample_shape = x.shape
    conv_shape = models.output_shape([conv], sample_shape)                                    # (C_out, H', W')
    positions = conv_shape[1] * conv_shape[2]
    if error.ndim == 2:
        images = [layer for layer in block if not isinstance(layer, models.Flatten)]
        error = flatten_backward(error, models.output_shape(images, sample_shape))

    below_error = np.empty(x.shape, np.int32) if pass_on else None

    def run(tile):
        passed = max_pool2d_backward(error[tile], where[tile], pool.size, conv_shape[1:]) if pool else error[tile]
        if pass_on:
            below_error[tile] = conv2d_backward(passed, weight, below.pad)
        return conv2d_gradient(passed, x[tile], conv.kernel, conv.pad)

    length, workers = min(tiling(block, sample_shape, n, "int32"), tiling([below], conv_shape, n, "int32"))
    length = min(length, max(1, MAX_TERMS // positions))
    total = np.zeros(weight.shape, np.int32 if n * positions <= MAX_TERMS else np.int64)
    for gradient in for_tiles(n, length, run, workers):
        total += gradient
    return total, below_error


def forward_kept(model, weights, x, record=None):
    """The forward pass of a whole network, keeping what its backward pass needs.

    x: QTensor (N, C, H, W) or (N, P, 3).  Returns (logits, kept): QTensor (N, classes), and for every block its int8
    input (QTensor) and the places of its maxima (or None).
    """
    kept = []
    for block in models.blocks(model.layers):
        inside = x
        points = isinstance(block[0], models.PointLinear)
        x, where = (int8_points.forward_block_kept if points else forward_block_kept)(block, weights, x, record)
        kept.append((inside, where))
    return x, kept


def gradients_of(model, weights, logits, kept, labels, record=None):
    """Backpropagation through the whole network, last layer first; no weight is changed.

    kept: from `forward_kept`.  record: None, or called as record(op, name, array) with what each op returns.
    Returns {name: gradient}, QTensors of int32 or int64, of the weights' shapes.
    """
    def noted(op, name, value):
        if record:
            record(op, name, value)
        return value

    gradients = {}
    cut = models.blocks(model.layers)
    error = noted("softmax_error", cut[-1][0].name, softmax_error(logits, labels))
    for i in range(len(cut) - 1, -1, -1):
        layer, weight, (x, where) = cut[i][0], weights[cut[i][0].name], kept[i]
        name, op = layer.name, "linear"
        if isinstance(layer, models.PointLinear):
            op = "point_linear"
            gradient, passed = int8_points.block_backward(weight.data, error.data, x.data, where, i > 0)
        elif isinstance(layer, models.Conv2d):
            op = "conv2d"
            gradient, passed = conv_block_backward(cut[i], weight.data, error.data, x.data, where, i > 0)
        else:
            gradient = linear_gradient(error.data, x.data)
            passed = linear_backward(error.data, weight.data) if i > 0 else None
        gradients[name] = QTensor(noted(op + "_gradient", name, gradient), error.exponent + x.exponent)
        if i > 0:
            noted(op + "_backward", name, passed)
            if any(isinstance(below, models.ReLU) for below in cut[i - 1]):
                passed = noted("relu_backward", name, relu_backward(passed, x.data))
            error = noted("requantise_error", name, requantise(passed, error.exponent + weight.exponent))
            passed = None   # four times as large as the error it became
    return gradients


def train_step(model, bp_tail, weights, images, labels, seed, step, settings, record=None):
    """One step of Full BP on one batch; changes `weights` in place.  Arguments as of zo_numpy's `train_step`.

    One forward pass at theta: bp_tail, seed and step have no effect, nor has anything of `settings` but b_bp
    and loss.
    record: None, or called as record(phase, op, name, value); the only phase is "minus", that of the pass a
        tail learns from.
    Returns (L, L, 0): the loss, a Python int in its own units, where ElasticZO has two, and no g.
    """
    noted = functools.partial(record, "minus") if record else None
    x = network_input(images)
    if noted:
        noted("weights", None, weights)
        noted("input", None, x)
    logits, kept = forward_kept(model, weights, x, noted)
    gradients = gradients_of(model, weights, logits, kept, labels, noted)
    steps = steps_of_gradients(gradients, weights, settings.b_bp)
    loss = loss_named(settings.loss)(logits, labels)
    if noted:
        noted("gradient_step", None, steps)
        noted("loss", None, loss)
    update_tail(weights, steps)
    return loss, loss, 0
