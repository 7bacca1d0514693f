"""The integer core of zo_numpy once more, as loops over plain Python integers: a specification that runs.

A tensor is a nested list of ints (`array.tolist()`), a quantised tensor a pair (nested list, exponent), and
weights are {name: pair} in parameter order. Python's integers have no width, so nothing here can wrap; and no
`>>`, `//` or `%` meets a negative number. Names are those of `zo_numpy`, layers those of `zo_numpy.models`.
`twins_training.py` continues with the tail's backward pass, initialisation and the training step.
"""
import functools

from zo_numpy import models

INIT, PERTURB, SHUFFLE = 0, 1, 2
MASK64 = 2**64 - 1


# Nested lists.

def flat(nested):
    """The elements of a nested list in C order."""
    return [x for part in nested for x in flat(part)] if isinstance(nested, list) else [nested]


def mapped(function, *nested):
    """function(a, b, ...) for the elements of nested lists of one shape."""
    if isinstance(nested[0], list):
        return [mapped(function, *parts) for parts in zip(*nested, strict=True)]
    return function(*nested)


def shaped(values, shape):
    """A flat list as a nested one, in C order."""
    if len(shape) == 1:
        return list(values)
    size = len(values) // shape[0]
    return [shaped(values[i * size:(i + 1) * size], shape[1:]) for i in range(shape[0])]


# Random numbers.

@functools.lru_cache(maxsize=1)
def philox4x64_10(counter, key):
    """One block of Philox4x64-10 (Salmon et al., SC'11): four words of a counter of four and a key of two."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (p1 >> 64) ^ c1 ^ k0, p1 & MASK64, (p0 >> 64) ^ c3 ^ k1, p0 & MASK64
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK64, (k1 + 0xBB67AE8584CAA73B) & MASK64
    return c0, c1, c2, c3


def word(seed, stream, step, tensor, query, i):
    """64-bit word i of a draw; blocks count from 1."""
    return philox4x64_10((1 + i // 4, tensor, step, query), (seed, stream))[i % 4]


def words(seed, stream, step, tensor, query, count):
    return [word(seed, stream, step, tensor, query, i) for i in range(count)]


def half_word(seed, stream, step, tensor, query, j):
    return (word(seed, stream, step, tensor, query, j // 4) >> (16 * (j % 4))) & 0xFFFF


def half_words(seed, stream, step, tensor, query, count):
    return [half_word(seed, stream, step, tensor, query, j) for j in range(count)]


def perturbation_of(h, r_max, p_zero):
    """The element of z that half-word h stands for."""
    magnitude = h & r_max if (h >> 8) < 256 - p_zero else 0
    return -magnitude if h & 0x80 else magnitude


def perturbation(seed, step, tensor, query, count, r_max, p_zero):
    return [perturbation_of(h, r_max, p_zero) for h in half_words(seed, PERTURB, step, tensor, query, count)]


def uniform_int8(seed, tensor, count, bound):
    return [((h * (2 * bound + 1)) >> 16) - bound for h in half_words(seed, INIT, 0, tensor, 0, count)]


def shuffled(seed, epoch, count):
    order = words(seed, SHUFFLE, epoch, 0, 0, count)
    return sorted(range(count), key=lambda i: (order[i], i))


# Arithmetic.

def clip(x, bound):
    return max(-bound, min(bound, x))


def signed(magnitude, like):
    return -magnitude if like < 0 else magnitude


def bit_width(magnitude):
    width = 0
    while 2**width <= magnitude:
        width += 1
    return width


def max_abs(nested):
    return max(abs(x) for x in flat(nested))


def round_shift(x, shift):
    """Half away from zero: of the magnitude, one more where the highest bit dropped is set."""
    if shift == 0:
        return x
    magnitude = abs(x)
    return signed((magnitude >> shift) + ((magnitude >> (shift - 1)) & 1), x)


def pseudo_stochastic_shift(x, shift):
    quotient, dropped = abs(x) >> shift, abs(x) % 2**shift
    low_bits = shift // 2
    high, low = dropped >> low_bits, dropped % 2**low_bits
    if shift % 2:
        low *= 2
    return signed(quotient + (1 if high > low else 0), x)


def requantise(accumulator, exponent):
    shift = max(0, bit_width(max_abs(accumulator)) - 7)
    return mapped(lambda x: clip(round_shift(x, shift), 127), accumulator), exponent + shift


# Forwards: int8 in, accumulator out.

def matmul(a, b):
    return [[sum(a[i][k] * b[k][j] for k in range(len(b))) for j in range(len(b[0]))] for i in range(len(a))]


def transposed(matrix):
    return [list(column) for column in zip(*matrix)]


def linear(x, weight):
    return matmul(x, transposed(weight))


def conv2d(x, weight, pad):
    height, width, k = len(x[0][0]), len(x[0][0][0]), len(weight[0][0])

    def at(image, c, i, j):
        return image[c][i][j] if 0 <= i < height and 0 <= j < width else 0

    return [[[[sum(at(image, c, i + di - pad, j + dj - pad) * kernel[c][di][dj]
                   for c in range(len(image)) for di in range(k) for dj in range(k))
               for j in range(width + 2 * pad - k + 1)] for i in range(height + 2 * pad - k + 1)]
             for kernel in weight] for image in x]


def max_pool2d(x, size):
    return [[[[max(plane[size * i + di][size * j + dj] for di in range(size) for dj in range(size))
               for j in range(len(plane[0]) // size)] for i in range(len(plane) // size)]
             for plane in image] for image in x]


def point_linear(x, weight):
    return [linear(cloud, weight) for cloud in x]


def max_over_points(x):
    return [[max(channel) for channel in zip(*cloud)] for cloud in x]


def relu(x):
    return mapped(lambda v: max(0, v), x)


def flatten(x):
    return [flat(image) for image in x]


def apply_layer(layer, weight, x):
    match layer:
        case models.Conv2d():
            return conv2d(x, weight, layer.pad)
        case models.Linear():
            return linear(x, weight)
        case models.PointLinear():
            return point_linear(x, weight)
        case models.BatchNorm():
            return x   # of FP32 alone
        case models.MaxOverPoints():
            return max_over_points(x)
        case models.MaxPool2d():
            return max_pool2d(x, layer.size)
        case models.ReLU():
            return relu(x)
        case models.Flatten():
            return flatten(x)


def forward(layers, weights, x):
    """Returns (logits, {layer with weights: its int8 input}); a block ends where the next weights begin."""
    data, exponent = x
    inputs = {}
    for i, layer in enumerate(layers):
        weight = None
        if hasattr(layer, "weight_shape"):
            inputs[layer.name] = (data, exponent)
            weight, weight_exponent = weights[layer.name]
            exponent += weight_exponent
        data = apply_layer(layer, weight, data)
        if i + 1 == len(layers) or hasattr(layers[i + 1], "weight_shape"):
            data, exponent = requantise(data, exponent)
    return (data, exponent), inputs


# Loss, in units of 2^-22 bits; 2^u in units of 2^-30.

EXP2 = (744261108, 257941996, 59588402, 10363966, 1362811, 223531)
LOG2 = (3098164021, 1032715992, 620013802, 433203226, 436187078)


def polynomial(coefficients, x):
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = coefficient + (value * x >> 30)
    return value


def base2_logit(logit, exponent):
    shift = 7 + min(exponent, 20)
    return logit * 47274 * 2**shift if shift >= 0 else round_shift(logit * 47274, -shift)


def exp2_negative(distance):
    """2^-distance, distance >= 0."""
    whole = 0
    while whole * 2**22 < distance:
        whole += 1
        if whole > 31:
            return 0
    fraction = (whole * 2**22 - distance) * 2**8
    return (2**30 + (fraction * polynomial(EXP2, fraction) >> 30)) >> whole


def log2_of(total):
    """log2(total / 2^30), total >= 2^30."""
    whole = bit_width(total) - 31
    x = total >> whole
    t = (x - 2**30) * 2**30 // (x + 2**30)
    return whole * 2**22 + ((t * polynomial(LOG2, t * t >> 30) >> 30) >> 8)


def sample_terms(logits, exponent):
    """u and 2^(u - max u) of one sample."""
    u = [base2_logit(v, exponent) for v in logits]
    return u, [exp2_negative(max(u) - v) for v in u]


def cross_entropy(logits, labels):
    loss = 0
    for row, label in zip(logits[0], labels, strict=True):
        u, terms = sample_terms(row, logits[1])
        loss += log2_of(sum(terms)) + max(u) - u[label]
    return loss


def floored_bits(u):
    """The integer part of u, towards minus infinity."""
    return u // 2**22 if u >= 0 else -((-u + 2**22 - 1) // 2**22)


def coarse_cross_entropy(logits, labels):
    bits = 0
    for row, label in zip(logits[0], labels, strict=True):
        u = [floored_bits(base2_logit(v, logits[1])) for v in row]
        terms = [2**10 >> min(max(u) - v, 11) for v in u]
        bits += bit_width(sum(terms)) - 11 + max(u) - u[label]
    return bits * 2**22


LOSSES = {"integer": cross_entropy, "coarse": coarse_cross_entropy}
