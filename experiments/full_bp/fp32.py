"""Full BP in FP32: the backwards that ElasticZO does without, and a training step made of them.

Plain stochastic gradient descent on the mean cross-entropy. Forwards, the loss, and the backwards of linear
and ReLU are those of zo_numpy.fp32; new are those of convolution and max-pool, and what has to be kept for
them. No momentum, no weight decay. A convolution's gradients are summed tile by tile: their last bits depend
on the number of threads. int8.py is the twin.
"""
import functools
import math

import numpy as np

from zo_numpy import models
from zo_numpy.errors import Diverged
from zo_numpy.fp32 import layers, tiled
from zo_numpy.fp32.layers import apply_layer, conv2d, network_input
from zo_numpy.fp32.loss import cross_entropy
from zo_numpy.fp32.points import update_running
from zo_numpy.fp32.tail import (gradient_step, linear_backward, linear_gradient, relu_backward, softmax_error,
                                update_tail)
from zo_numpy.shapes import patches
from zo_numpy.tiles import for_tiles, tiling

from . import fp32_points
from .shapes import flatten_backward, max_pool2d_argmax, max_pool2d_backward, places_shape, pooling, transposed, turned


def conv2d_gradient(error, x, kernel, pad):
    """dL/dweight and dL/dbias of a convolution.

    error: (N, C_out, H', W').  x: (N, C, H, W).  Returns (C_out, C, k, k), (C_out,).
    """
    c_out, c_in = error.shape[1], x.shape[1]
    columns, _ = patches(x, kernel, pad, x.dtype)                                     # (k, C k, H' N W')
    errors = error.transpose(1, 2, 0, 3).reshape(c_out, -1)                           # (C_out, H' N W')
    rows = [(errors @ row.T).reshape(c_out, c_in, kernel) for row in columns]
    return np.stack(rows, axis=2), errors.sum(axis=1)


def conv2d_backward(error, weight, pad):
    """dL/dinput of a convolution: a convolution of the error with the kernel turned by 180 degrees.

    error: (N, C_out, H', W').  weight: (C_out, C, k, k).  pad: that of `transposed`.
    Returns (N, C, H, W).
    """
    return conv2d(error, turned(weight), np.zeros(weight.shape[1], weight.dtype), pad)


def forward_block_kept(block, weights, x, record=None):
    """`forward_block`, and what only the backward pass needs of it: where each maximum of the pooling was.

    x: (N, ...).  record: see `forward_block`.  Returns ((N, ...), uint8 array or None).
    """
    pool = pooling(block)
    if pool is None:
        return (layers.forward_block(block, weights, x, record=record) if record else
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

    n, *sample_shape = x.shape
    if record:   # sees every op on the whole batch
        return run(x, record)
    out = np.empty((n, *models.output_shape(block, sample_shape)), x.dtype)
    where = np.empty((n, *places_shape(block, sample_shape)), np.uint8)

    def fill(tile):
        out[tile], where[tile] = run(x[tile])

    length, workers = tiling(block, sample_shape, n, "float32")
    for_tiles(n, length, fill, workers)
    return out, where


def conv_block_backward(block, weight, error, x, where, pass_on):
    """Back through a convolution's block, tile by tile over the batch, after the ReLU's backward.

    weight: (C_out, C, k, k).  error: of the block's output.  x: (N, C, H, W), its input.
    where: from `forward_block_kept`.  pass_on: whether a layer lies below.
    Returns (weight gradient, bias gradient, error of the input or None).
    """
    conv, pool = block[0], pooling(block)
    below = transposed(conv)
    n, *sample_shape = x.shape
    conv_shape = models.output_shape([conv], sample_shape)                                    # (C_out, H', W')
    if error.ndim == 2:
        images = [layer for layer in block if not isinstance(layer, models.Flatten)]
        error = flatten_backward(error, models.output_shape(images, sample_shape))

    below_error = np.empty(x.shape, x.dtype) if pass_on else None

    def run(tile):
        passed = max_pool2d_backward(error[tile], where[tile], pool.size, conv_shape[1:]) if pool else error[tile]
        if pass_on:
            below_error[tile] = conv2d_backward(passed, weight, below.pad)
        return conv2d_gradient(passed, x[tile], conv.kernel, conv.pad)

    length, workers = min(tiling(block, sample_shape, n, "float32"), tiling([below], conv_shape, n, "float32"))
    weight_gradients, bias_gradients = zip(*for_tiles(n, length, run, workers))
    return sum(weight_gradients), sum(bias_gradients), below_error


def forward_kept(model, weights, x, record=None, statistics=None):
    """The forward pass of a whole network, keeping what its backward pass needs.

    x: (N, C, H, W) or (N, P, 3).  statistics: a mapping that batch norm's are put into.
    Returns (logits, kept): (N, classes), and for every block its input and the places of its maxima (or None).
    """
    kept = []
    for block in models.blocks(model.layers):
        inside = x
        if isinstance(block[0], models.PointLinear):
            x, where = fp32_points.forward_block_kept(block, weights, x, record, statistics)
        else:
            x, where = forward_block_kept(block, weights, x, record)
        kept.append((inside, where))
    return x, kept


def gradients_of(model, weights, logits, kept, labels, record=None, statistics=None):
    """Backpropagation through the whole network, last layer first; nothing is changed.

    kept, statistics: from `forward_kept`.
    record: None, or called as record(op, name, array) with what each op returns.
    Returns {parameter's name: gradient}.
    """
    def noted(op, name, value):
        if record:
            record(op, name, value)
        return value

    gradients = {}
    cut = models.blocks(model.layers)
    error = noted("softmax_error", cut[-1][0].name, softmax_error(logits, labels))
    for i in range(len(cut) - 1, -1, -1):
        layer, weight, (x, where) = cut[i][0], weights[cut[i][0].name + ".weight"], kept[i]
        name, op = layer.name, "linear"
        if isinstance(layer, models.PointLinear):
            op = "point_linear"
            found, passed = fp32_points.block_backward(cut[i], weights, error, x, statistics, where, i > 0)
        elif isinstance(layer, models.Conv2d):
            op = "conv2d"
            *found, passed = conv_block_backward(cut[i], weight, error, x, where, i > 0)
        else:
            found, passed = linear_gradient(error, x), linear_backward(error, weight) if i > 0 else None
        if op != "point_linear":
            found = dict(zip((name + ".weight", name + ".bias"), found))
        for parameter, gradient in found.items():
            gradients[parameter] = noted(op + "_gradient", parameter, gradient)
        if i > 0:
            error, passed = noted(op + "_backward", name, passed), None
            if any(isinstance(below, models.ReLU) for below in cut[i - 1]):
                error = noted("relu_backward", name, relu_backward(error, x))
    return gradients


def train_step(model, bp_tail, weights, images, labels, seed, step, settings, record=None):
    """One step of Full BP on one batch; changes `weights` in place.  Arguments as of zo_numpy's `train_step`.

    One forward pass at theta: bp_tail and seed have no effect, nor has anything of `settings` but eta_tail.
    record: None, or called as record(phase, op, name, value); the only phase is "minus", that of the pass a
        tail learns from.
    Returns (L, L, 0): the loss, a Python float, where ElasticZO has two, and no g.
    Raises Diverged if the loss is not finite.
    """
    noted = functools.partial(record, "minus") if record else None
    x, statistics = network_input(images), {}
    if noted:
        noted("weights", None, weights)
        noted("input", None, x)
    logits, kept = forward_kept(model, weights, x, noted, statistics)
    loss = cross_entropy(logits, labels)
    if not math.isfinite(loss):
        raise Diverged(f"the loss of step {step} is {loss}: the run has diverged; lower --eta-tail")
    gradients = gradients_of(model, weights, logits, kept, labels, noted, statistics)
    steps = {name: gradient_step(gradients.pop(name), settings.eta_tail) for name in list(gradients)}
    if noted:
        noted("gradient_step", None, steps)
        noted("loss", None, loss)
    update_tail(weights, steps)
    update_running(weights, statistics)
    return loss, loss, 0
