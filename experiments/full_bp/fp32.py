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
from zo_numpy.fp32.elastic_zo import from_pixels
from zo_numpy.fp32.layers import apply_layer, conv2d, forward_block
from zo_numpy.fp32.loss import cross_entropy
from zo_numpy.fp32.tail import (gradient_step, linear_backward, linear_gradient, relu_backward, softmax_error,
                                update_tail)
from zo_numpy.shapes import patches
from zo_numpy.tiles import for_tiles, joined, tile_length

from .shapes import (flatten_backward, image_shape, max_pool2d_argmax, max_pool2d_backward, pooling,
                     transposed, turned)


def conv2d_gradient(error, x, kernel, pad):
    """dL/dweight and dL/dbias of a convolution.

    error: (N, C_out, H', W').  x: (N, C, H, W).  Returns (C_out, C, k, k), (C_out,).
    """
    c_out, c_in = error.shape[1], x.shape[1]
    columns, _ = patches(x, kernel, pad, x.dtype)                                     # (C k k, H' W' N)
    errors = error.transpose(1, 2, 3, 0).reshape(c_out, -1)                           # (C_out, H' W' N)
    return (errors @ columns.T).reshape(c_out, c_in, kernel, kernel), errors.sum(axis=1)


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
        return forward_block(block, weights, x, record), None

    def run(images, record=None):
        where = None
        for layer in block:
            if layer is pool:
                where = max_pool2d_argmax(images, pool.size)
            images = apply_layer(layer, weights, images)
            if record:
                record(type(layer).__name__, block[0].name, images)
        return images, where

    if record:   # sees every op on the whole batch
        parts = [run(x, record)]
    else:
        n, *sample_shape = x.shape
        parts = for_tiles(n, tile_length(block, sample_shape), lambda tile: run(x[tile]))
    outputs, places = zip(*parts)
    return joined(outputs), joined(places)


def conv_block_backward(block, weight, error, x, where, pass_on):
    """Back through a convolution's block, tile by tile over the batch; its ReLU is already behind.

    weight: (C_out, C, k, k).  error: of the block's output.  x: (N, C, H, W), its input.
    where: from `forward_block_kept`.  pass_on: whether a layer lies below.
    Returns (weight gradient, bias gradient, error of the input or None).
    """
    conv, pool = block[0], pooling(block)
    below = transposed(conv)
    n, *sample_shape = x.shape
    conv_shape = image_shape([conv], sample_shape)                                    # (C_out, H', W')
    if error.ndim == 2:
        error = flatten_backward(error, image_shape(block, sample_shape))

    def run(tile):
        passed = max_pool2d_backward(error[tile], where[tile], pool.size) if pool else error[tile]
        return (*conv2d_gradient(passed, x[tile], conv.kernel, conv.pad),
                conv2d_backward(passed, weight, below.pad) if pass_on else None)

    length = min(tile_length(block, sample_shape), tile_length([below], conv_shape))
    weight_gradients, bias_gradients, passed = zip(*for_tiles(n, length, run))
    return sum(weight_gradients), sum(bias_gradients), joined(passed) if pass_on else None


def forward_kept(model, weights, x, record=None):
    """The forward pass of a whole network, keeping what its backward pass needs.

    x: (N, C, H, W).  Returns (logits, kept): (N, classes), and for every block its input and the places of
    its maxima (uint8, or None).
    """
    kept = []
    for block in models.blocks(model.layers):
        inside = x
        x, where = forward_block_kept(block, weights, x, record)
        kept.append((inside, where))
    return x, kept


def gradients_of(model, weights, logits, kept, labels, record=None):
    """Backpropagation through the whole network, last layer first; nothing is changed.

    kept: from `forward_kept`.  record: None, or called as record(op, name, array) with what each op returns.
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
        name = layer.name
        if isinstance(layer, models.Conv2d):
            op = "conv2d"
            *gradient, passed = conv_block_backward(cut[i], weight, error, x, where, i > 0)
        else:
            op = "linear"
            gradient, passed = linear_gradient(error, x), linear_backward(error, weight) if i > 0 else None
        gradients[name + ".weight"] = noted(op + "_gradient", name + ".weight", gradient[0])
        gradients[name + ".bias"] = noted(op + "_gradient", name + ".bias", gradient[1])
        if i > 0:
            error = noted(op + "_backward", name, passed)
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
    x = from_pixels(images)
    if noted:
        noted("weights", None, weights)
        noted("input", None, x)
    logits, kept = forward_kept(model, weights, x, noted)
    loss = cross_entropy(logits, labels)
    if not math.isfinite(loss):
        raise Diverged(f"the loss of step {step} is {loss}: the run has diverged; lower --eta-tail")
    gradients = gradients_of(model, weights, logits, kept, labels, noted)
    steps = {name: gradient_step(gradient, settings.eta_tail) for name, gradient in gradients.items()}
    if noted:
        noted("gradient_step", None, steps)
        noted("loss", None, loss)
    update_tail(weights, steps)
    return loss, loss, 0
