"""INT8 backwards of the layers that may stand in the tail, linear and ReLU, and the update of their weights, plainly.

The tail is the last K fully-connected layers, trained by backpropagation from what the second forward pass of a ZO
step has at hand. Everything below the tail has no backward at all: that asymmetry is ElasticZO.
"""
import numpy as np

from .. import models
from .arith import INT8_MAX, bit_width, check_terms, matmul, max_abs, pseudo_stochastic_shift, requantise
from .loss import base2_logits, exp2_terms

SOFTMAX_BITS = 15


def softmax_error(logits, labels):
    """dL/dlogits of cross-entropy, where the backward pass begins: softmax to 15 bits by floor division, minus
    one-hot, requantised (CHOICE 7).

    logits: QTensor (N, classes).  labels: (N,).  Returns QTensor (N, classes).
    """
    terms = exp2_terms(base2_logits(logits))                                              # (N, classes) int64
    softmax = (terms << SOFTMAX_BITS) // terms.sum(axis=1, keepdims=True)
    softmax[np.arange(len(labels)), labels] -= 1 << SOFTMAX_BITS
    return requantise(softmax.astype(np.int32), -SOFTMAX_BITS)


def linear_gradient(error, x):
    """dL/dweight of a linear layer, summed over the batch.

    error: (N, out) int8.  x: (N, in) int8.  Returns (out, in) int32; N <= MAX_TERMS.
    """
    check_terms(error.shape[0])
    return matmul(error.T, x)


def linear_backward(error, weight):
    """dL/dinput of a linear layer: the error passed back through its weights.

    error: (N, out) int8.  weight: (out, in) int8, as it was in the forward pass.  Returns (N, in) int32.
    """
    check_terms(weight.shape[0])
    return matmul(error, weight)


def relu_backward(error, x):
    """Zero where the ReLU was off (CHOICE 20).

    error: (N, features) int32.  x: the stored int8 activation after the ReLU, same shape.  Returns int32.
    """
    return np.where(x > 0, error, 0)


def tail_gradients(tail, weights, logits, inputs, labels, record=None):
    """Backpropagation through the tail.  Returns {name: (out, in) int32}, last layer first; no weight is changed
    (CHOICE 21).

    logits: QTensor (N, classes).  inputs: [QTensor], the input of each linear layer.  labels: (N,) integers.
    record: None, or called as record(op, name, array) with what each op returns, under the name of the layer whose
    weights it is about; relu_backward and requantise_error under that of linear_backward before them.
    """
    def noted(op, name, value):
        if record:
            record(op, name, value)
        return value

    gradients = {}
    linears = models.weight_layers(tail)
    error = noted("softmax_error", linears[-1].name, softmax_error(logits, labels)) if linears else None
    for i in range(len(linears) - 1, -1, -1):
        name, x = linears[i].name, inputs[i]
        gradients[name] = noted("linear_gradient", name, linear_gradient(error.data, x.data))
        if i > 0:
            passed = noted("linear_backward", name, linear_backward(error.data, weights[name].data))
            masked = noted("relu_backward", name, relu_backward(passed, x.data))
            error = noted("requantise_error", name, requantise(masked, error.exponent + weights[name].exponent))
    return gradients


def tail_steps(tail, weights, logits, inputs, labels, b_bp, record=None):
    """`gradient_step` of each of `tail_gradients`, whose arguments it takes.  Returns {name: (out, in) int32}."""
    gradients = tail_gradients(tail, weights, logits, inputs, labels, record)
    # pop: a gradient is gone when its step is made, so that both are held of one layer at most.
    steps = {name: gradient_step(gradients.pop(name), b_bp) for name in list(gradients)}
    if record:
        record("gradient_step", None, steps)
    return steps


def gradient_step(gradient, b_bp):
    """Scales a gradient to about b_bp bits: the learning rate of an integer tail (NITI, CHOICE 22).

    gradient: int32.  b_bp: 1..7, the bits its largest magnitude keeps.  Returns int32, |step| <= 2^b_bp.
    """
    return pseudo_stochastic_shift(gradient, max(0, bit_width(max_abs(gradient)) - b_bp))


def update_tail(weights, steps):
    """weight -= step, clipped to +-127, in place.  steps: {name: int32 array} from `gradient_step`."""
    for name, step in steps.items():
        weight = weights[name].data
        weight[...] = np.clip(weight - step, -INT8_MAX, INT8_MAX)
