"""Twins of initialisation, the tail's backward pass and the whole training step: loops over Python integers.

Conventions as in `twins.py`, whose functions these use.
"""
from zo_numpy import models
from twins import (LOSSES, bit_width, clip, flat, forward, mapped, matmul, max_abs, perturbation,
                   pseudo_stochastic_shift, requantise, sample_terms, shaped, transposed, uniform_int8)


def softmax_error(logits, labels):
    error = []
    for row, label in zip(logits[0], labels, strict=True):
        _, terms = sample_terms(row, logits[1])
        softmax = [term * 2**15 // sum(terms) for term in terms]
        error.append([p - (2**15 if j == label else 0) for j, p in enumerate(softmax)])
    return requantise(error, -15)


def linear_gradient(error, x):
    return matmul(transposed(error), x)


def linear_backward(error, weight):
    return matmul(error, weight)


def relu_backward(error, x):
    return mapped(lambda e, v: e if v > 0 else 0, error, x)


def tail_gradients(names, weights, logits, inputs, labels):
    """names: the linear layers of the tail, in order.  inputs: {name: pair}, from `forward`."""
    error, exponent = softmax_error(logits, labels)
    gradients = {}
    for name in reversed(names):
        x, _ = inputs[name]
        gradients[name] = linear_gradient(error, x)
        if name != names[0]:
            weight, weight_exponent = weights[name]
            masked = relu_backward(linear_backward(error, weight), x)
            error, exponent = requantise(masked, exponent + weight_exponent)
    return gradients


def gradient_step(gradient, b_bp):
    shift = max(0, bit_width(max_abs(gradient)) - b_bp)
    return mapped(lambda x: pseudo_stochastic_shift(x, shift), gradient)


def update(weight, step, bound=127):
    return mapped(lambda w, s: clip(w - s, bound), weight, step)


def init_exponent(fan_in, headroom):
    """headroom - k, k the smallest with 12 * 4^k >= 127^2 * fan_in."""
    k = 0
    while 12 * 4**k < 127**2 * fan_in:
        k += 1
    return headroom - k


def init_weights(model, seed, headroom):
    weights = {}
    for tensor, layer in enumerate(models.weight_layers(model.layers)):
        out, *rest = layer.weight_shape
        fan_in = 1
        for size in rest:
            fan_in *= size
        values = uniform_int8(seed, tensor, out * fan_in, 127 >> headroom[layer.name])
        weights[layer.name] = shaped(values, layer.weight_shape), init_exponent(fan_in, headroom[layer.name])
    return weights


def zo_names(names, bp_tail):
    """The layers that ZO trains."""
    return names[:len(names) - bp_tail]


def zo_update(weight, z, g, r_max, b_zo, r_limit):
    """weight less g times z scaled to b_zo bits; as it was where g is 0."""
    shift = max(0, bit_width(r_max) - b_zo)
    step = mapped(lambda d: g * pseudo_stochastic_shift(d, shift), z)
    return update(weight, step, 127 - r_limit) if g else weight


def add_steps(first, second):
    """The tail's steps of both passes."""
    return {name: mapped(lambda a, b: a + b, first[name], second[name]) for name in first}


def train_step(model, bp_tail, weights, images, labels, seed, step, settings):
    """One step of ElasticZO-INT8.  images: nested list of 0..255.  Returns (new weights, L+, L-, g)."""
    layers = models.weight_layers(model.layers)
    names = [layer.name for layer in layers]
    zo, bp = [] if settings.frozen else zo_names(names, bp_tail), names[len(names) - bp_tail:]
    x = mapped(lambda pixel: pixel >> 1, images), -7
    z = {}
    for tensor, layer in enumerate(layers):
        size = len(flat(weights[layer.name][0]))
        z[layer.name] = shaped(perturbation(seed, step, tensor, 0, size, settings.r_max, settings.p_zero),
                               layer.weight_shape)

    def moved(times):
        return {name: (mapped(lambda w, d: w + times * d, data, z[name]) if name in zo else data, exponent)
                for name, (data, exponent) in weights.items()}

    def evaluate(theta):
        logits, inputs = forward(model.layers, theta, x)
        gradients = tail_gradients(bp, theta, logits, inputs, labels)
        steps = {name: gradient_step(gradient, settings.b_bp) for name, gradient in gradients.items()}
        return LOSSES[settings.loss](logits, labels), steps

    loss_plus, steps = evaluate(moved(+1))
    loss_minus = loss_plus
    if not settings.frozen:
        steps_plus = steps
        loss_minus, steps = evaluate(moved(-1))
        if settings.tail_passes == "both":
            steps = add_steps(steps_plus, steps)
    g = (loss_plus > loss_minus) - (loss_plus < loss_minus)

    new = {}
    for name, (data, exponent) in weights.items():
        if name in zo:
            data = zo_update(data, z[name], g, settings.r_max, settings.b_zo, settings.r_limit)
        if name in bp:
            data = update(data, steps[name])
        new[name] = data, exponent
    return new, loss_plus, loss_minus, g
