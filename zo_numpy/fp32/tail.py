"""FP32 backward passes of the layers of a tail, linear and ReLU, and the update of their parameters, written plainly.

The tail is the last K fully-connected layers, trained by backpropagation from the activations of the second forward
pass of a ZO step. No layer below the tail has a backward pass: that asymmetry is ElasticZO.
"""
import numpy as np

from .. import models
from .loss import log_softmax


def softmax_error(logits, labels):
    """dL/dlogits of the mean cross-entropy, where the backward pass begins: (softmax minus one-hot) / N.

    logits: (N, classes) float32.  labels: (N,).  Returns (N, classes) float32.
    """
    error = np.exp(log_softmax(logits))
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    return error


def linear_gradient(error, x):
    """dL/dweight and dL/dbias of a linear layer.  error: (N, out).  x: (N, in).  Returns (out, in), (out,)."""
    return error.T @ x, error.sum(axis=0)


def linear_backward(error, weight):
    """dL/dinput of a linear layer.  error: (N, out).  weight: (out, in).  Returns (N, in)."""
    return error @ weight


def relu_backward(error, x):
    """Zero where the ReLU was off.  x: the stored activation after the ReLU, same shape as error."""
    return np.where(x > 0, error, 0)


def tail_gradients(tail, weights, logits, inputs, labels, record=None):
    """Backpropagation through the tail.  Returns {parameter's name: gradient}, last layer first; nothing is changed.

    logits: (N, classes).  inputs: [array], the input of each linear layer.  labels: (N,) integers.
    record: None, or called as record(op, name, array) with what each op returns; name is that of the layer or
    parameter it is about. relu_backward, where a ReLU stands below that layer, has the name of the linear_backward
    before it.
    """
    def noted(op, name, value):
        if record:
            record(op, name, value)
        return value

    gradients = {}
    linears, masked = models.weight_layers(tail), models.after_relu(tail)
    error = noted("softmax_error", linears[-1].name, softmax_error(logits, labels)) if linears else None
    for i in range(len(linears) - 1, -1, -1):
        name, x = linears[i].name, inputs[i]
        weight_gradient, bias_gradient = linear_gradient(error, x)
        gradients[name + ".weight"] = noted("linear_gradient", name + ".weight", weight_gradient)
        gradients[name + ".bias"] = noted("linear_gradient", name + ".bias", bias_gradient)
        if i > 0:
            error = noted("linear_backward", name, linear_backward(error, weights[name + ".weight"]))
            if masked[i]:
                error = noted("relu_backward", name, relu_backward(error, x))
    return gradients


def tail_steps(tail, weights, logits, inputs, labels, eta_tail, record=None):
    """`gradient_step` of each of `tail_gradients`, whose arguments it takes.  Returns {parameter's name: array}."""
    gradients = tail_gradients(tail, weights, logits, inputs, labels, record)
    # pop: a gradient is gone when its step is made, so at most one parameter has both in memory.
    steps = {name: gradient_step(gradients.pop(name), eta_tail) for name in list(gradients)}
    if record:
        record("gradient_step", None, steps)
    return steps


def gradient_step(gradient, eta_tail):
    """Scales a gradient by the learning rate.  float32 in and out, same shape."""
    return np.float32(eta_tail) * gradient


def update_tail(weights, steps):
    """parameter -= step, in place.  steps: {name: array} from `tail_steps`."""
    for name, step in steps.items():
        weights[name] -= step
