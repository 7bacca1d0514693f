"""Twins of initialisation, the tail's backward pass and the whole training step: loops over Python integers.

Conventions as in `twins.py`, whose functions these use.
"""
from zo_numpy import models
from zo_numpy.int8.variants import Variant
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


def tail_gradients(names, weights, logits, inputs, labels, exponents=None, bare=()):
    """names: the linear layers of the tail, in order.  inputs: {name: pair}, from `forward`.  exponents: None, or a
    dict that takes those of the gradients.  bare: the names of the layers without a ReLU before them."""
    error, exponent = softmax_error(logits, labels)
    gradients = {}
    for name in reversed(names):
        x, x_exponent = inputs[name]
        gradients[name] = linear_gradient(error, x)
        if exponents is not None:
            exponents[name] = exponent + x_exponent
        if name != names[0]:
            weight, weight_exponent = weights[name]
            passed = linear_backward(error, weight)
            masked = passed if name in bare else relu_backward(passed, x)
            error, exponent = requantise(masked, exponent + weight_exponent)
    return gradients


def gradient_step(gradient, b_bp):
    shift = max(0, bit_width(max_abs(gradient)) - b_bp)
    return mapped(lambda x: pseudo_stochastic_shift(x, shift), gradient)


def size_of(largest, exponent):
    """The size in bits of a gradient whose largest magnitude this is; None where it is 0."""
    return bit_width(largest) + exponent if largest else None


def noticed(size, reference, age):
    """(reference, age) after a gradient of that size."""
    if size is not None and size >= reference:
        return size, 0
    if age == 63:
        return reference - 1, 0
    return reference, age + 1


def running_shift(exponent, b_bp, reference):
    """The shift of a gradient from a reference that has taken notice of it."""
    return max(0, min(30, reference - b_bp - exponent))


def running_step(gradient, exponent, b_bp, reference, age):
    """Returns (step, reference, age)."""
    reference, age = noticed(size_of(max_abs(gradient), exponent), reference, age)
    shift = running_shift(exponent, b_bp, reference)
    return mapped(lambda x: pseudo_stochastic_shift(x, shift), gradient), reference, age


def steps_of(gradients, exponents, b_bp, scales):
    """{name: step}.  scales: None, or {name: (reference, age)}, changed in place."""
    if scales is None:
        return {name: gradient_step(gradient, b_bp) for name, gradient in gradients.items()}
    steps = {}
    for name, gradient in gradients.items():
        steps[name], *scale = running_step(gradient, exponents[name], b_bp, *scales[name])
        scales[name] = tuple(scale)
    return steps


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


def zo_step(z, g, r_max, b_zo):
    """g times z scaled to b_zo bits."""
    shift = max(0, bit_width(r_max) - b_zo)
    return mapped(lambda d: g * pseudo_stochastic_shift(d, shift), z)


def zo_update(weight, z, g, r_max, b_zo, r_limit):
    """weight less `zo_step`; as it was where g is 0."""
    return update(weight, zo_step(z, g, r_max, b_zo), 127 - r_limit) if g else weight


def tail_queries(count):
    """The queries of a step whose passes give the tail's steps: the last."""
    return [count - 1]


def add_steps(first, second):
    """The tail's steps of both passes."""
    return {name: mapped(lambda a, b: a + b, first[name], second[name]) for name in first}


def train_step(model, bp_tail, weights, images, labels, seed, step, settings, variant=Variant(), scales=None):
    """One step of ElasticZO-INT8, or of a variant of it.  Returns (new weights, L+, L-, g or a tuple of them).

    images: nested list of 0..255.  scales: None, or the running scales {name: (reference, age)}, changed in place.
    """
    layers = models.weight_layers(model.layers)
    names = [layer.name for layer in layers]
    zo, bp = [] if variant.frozen else zo_names(names, bp_tail), names[len(names) - bp_tail:]
    x = mapped(lambda pixel: pixel >> 1, images), -7

    def draw(query):
        return {layer.name: shaped(perturbation(seed, step, tensor, query, len(flat(weights[layer.name][0])),
                                                settings.r_max, settings.p_zero), layer.weight_shape)
                for tensor, layer in enumerate(layers)}

    both = variant.tail_passes == "both" and not variant.frozen

    def evaluate(times, query):
        z = zs[query]
        theta = {name: (mapped(lambda w, d: w + times * d, data, z[name]) if name in zo else data, exponent)
                 for name, (data, exponent) in weights.items()}
        logits, inputs = forward(model.layers, theta, x)
        steps = {}
        if query in of_tail and (both or times < 0):      # the pass that counts
            exponents = {}
            gradients = tail_gradients(bp, theta, logits, inputs, labels, exponents)
            steps = steps_of(gradients, exponents, settings.b_bp, scales)
        return LOSSES[settings.loss](logits, labels), steps

    zs = [draw(query) for query in range(1 if variant.frozen else variant.queries)]
    of_tail = tail_queries(len(zs))
    plus, minus = ([evaluate(times, query) for query in range(len(zs))] for times in (+1, -1))
    gs = [(high > low) - (high < low) for (high, _), (low, _) in zip(plus, minus)]
    steps = [minus[query][1] for query in of_tail]
    if both:
        steps = [add_steps(plus[query][1], second) for query, second in zip(of_tail, steps)]
    steps = {name: mapped(lambda *parts: sum(parts), *(one[name] for one in steps)) for name in bp}

    new = {}
    for name, (data, exponent) in weights.items():
        if name in zo and len(zs) == 1:
            data = zo_update(data, zs[0][name], gs[0], settings.r_max, settings.b_zo, settings.r_limit)
        elif name in zo:
            of_queries = [zo_step(z[name], g, settings.r_max, settings.b_zo) for z, g in zip(zs, gs)]
            data = update(data, mapped(lambda *parts: sum(parts), *of_queries), 127 - settings.r_limit)
        if name in bp:
            data = update(data, steps[name])
        new[name] = data, exponent
    loss_plus, loss_minus = (sum(loss for loss, _ in of_passes) // len(zs) for of_passes in (plus, minus))
    return new, loss_plus, loss_minus, gs[0] if len(gs) == 1 else tuple(gs)
