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
            behind = relu_backward(linear_backward(error, weight), x)
            error, exponent = requantise(behind, exponent + weight_exponent)
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


def train_step(model, bp_tail, weights, images, labels, seed, step, settings):
    """One step of ElasticZO-INT8.  images: nested list of 0..255.  Returns (new weights, L+, L-, g)."""
    layers = models.weight_layers(model.layers)
    zo = [layer.name for layer in layers[:len(layers) - bp_tail]]
    bp = [layer.name for layer in layers[len(layers) - bp_tail:]]
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

    if settings.frozen:
        loss_plus, steps = evaluate(weights)
        loss_minus = loss_plus
    else:
        loss_plus, steps_plus = evaluate(moved(+1))
        loss_minus, steps = evaluate(moved(-1))
        if settings.tail_passes == "both":
            steps = {name: mapped(lambda a, b: a + b, steps_plus[name], steps[name]) for name in bp}
    g = (loss_plus > loss_minus) - (loss_plus < loss_minus)

    shift = max(0, bit_width(settings.r_max) - settings.b_zo)
    new = {}
    for name, (data, exponent) in weights.items():
        if name in bp:
            data = update(data, steps[name])
        elif g:
            zo_step = mapped(lambda d: g * pseudo_stochastic_shift(d, shift), z[name])
            data = update(data, zo_step, 127 - settings.r_limit)
        new[name] = data, exponent
    return new, loss_plus, loss_minus, g
