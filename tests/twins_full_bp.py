"""Twins of Full BP in INT8: loops over plain Python integers, from one sample and one output to the next.

Conventions as in `twins.py`, whose functions these use. A convolution is written output by output: the error
of one goes to every weight and every input that made it.
"""
import twins
from twins import LOSSES, mapped, requantise
from twins_training import linear_backward, linear_gradient, relu_backward, softmax_error, steps_of, update
from zo_numpy import models


def conv_products(error, x, weight, pad):
    """(n, o, row, column of an output; c, i, j of a weight; row, column of the input between them), where
    that lies inside the image."""
    height, width = len(x[0][0]), len(x[0][0][0])
    for n, planes in enumerate(error):
        for o, plane in enumerate(planes):
            for row in range(len(plane)):
                for column in range(len(plane[0])):
                    for c, kernel in enumerate(weight[o]):
                        for i in range(len(kernel)):
                            for j in range(len(kernel[0])):
                                y, z = row + i - pad, column + j - pad
                                if 0 <= y < height and 0 <= z < width:
                                    yield n, o, row, column, c, i, j, y, z


def conv2d_gradient(error, x, weight, pad):
    """weight: for its shape alone."""
    gradient = mapped(lambda w: 0, weight)
    for n, o, row, column, c, i, j, y, z in conv_products(error, x, weight, pad):
        gradient[o][c][i][j] += error[n][o][row][column] * x[n][c][y][z]
    return gradient


def conv2d_backward(error, x, weight, pad):
    """x: for its shape alone."""
    passed = mapped(lambda v: 0, x)
    for n, o, row, column, c, i, j, y, z in conv_products(error, x, weight, pad):
        passed[n][c][y][z] += error[n][o][row][column] * weight[o][c][i][j]
    return passed


def max_pool2d_backward(error, x, size):
    """x: what was pooled.  The first of equal maxima, in the order of rows, takes the error."""
    passed = mapped(lambda v: 0, x)
    for n, planes in enumerate(error):
        for c, plane in enumerate(planes):
            for row in range(len(plane)):
                for column in range(len(plane[0])):
                    window = [(size * row + i, size * column + j) for i in range(size) for j in range(size)]
                    best = window[0]
                    for y, z in window:
                        if x[n][c][y][z] > x[n][c][best[0]][best[1]]:
                            best = y, z
                    passed[n][c][best[0]][best[1]] += plane[row][column]
    return passed


def point_block_backward(block, weight, error, x):
    """(gradient, error of the input) of a block on points.  Of equal maxima the first point takes the error."""
    if any(isinstance(layer, models.MaxOverPoints) for layer in block):
        product = twins.point_linear(x, weight)
        dense = mapped(lambda v: 0, product)
        for n, row in enumerate(error):
            for o, value in enumerate(row):
                column = [point[o] for point in product[n]]
                dense[n][column.index(max(column))][o] = value
        error = dense
    gradient, passed = mapped(lambda w: 0, weight), mapped(lambda v: 0, x)
    for n, cloud in enumerate(error):
        for p, point in enumerate(cloud):
            for o, value in enumerate(point):
                for i, w in enumerate(weight[o]):
                    gradient[o][i] += value * x[n][p][i]
                    passed[n][p][i] += value * w
    return gradient, passed


def block_backward(block, weight, error, x):
    """(gradient, error of the input) of a block.  error: of its output, ReLU undone.  x: its int8 input."""
    layer, *after = block
    if isinstance(layer, models.PointLinear):
        return point_block_backward(block, weight, error, x)
    if isinstance(layer, models.Linear):
        return linear_gradient(error, x), linear_backward(error, weight)
    stages = [twins.conv2d(x, weight, layer.pad)]                       # what each layer after it takes
    for other in after:
        stages.append(twins.apply_layer(other, None, stages[-1]))
    for other, taken in zip(reversed(after), reversed(stages[:-1])):
        if isinstance(other, models.Flatten):
            shape = len(taken), len(taken[0]), len(taken[0][0]), len(taken[0][0][0])
            error = twins.shaped(twins.flat(error), shape)
        elif isinstance(other, models.MaxPool2d):
            error = max_pool2d_backward(error, taken, other.size)
    return conv2d_gradient(error, x, weight, layer.pad), conv2d_backward(error, x, weight, layer.pad)


def gradients(model, weights, logits, inputs, labels, exponents=None):
    """inputs: {name: pair}, from `twins.forward`.  exponents: None, or a dict that takes those of the gradients."""
    cut = models.blocks(model.layers)
    error, exponent = softmax_error(logits, labels)
    found = {}
    for i in reversed(range(len(cut))):
        name = cut[i][0].name
        x, x_exponent = inputs[name]
        if exponents is not None:
            exponents[name] = exponent + x_exponent
        weight, weight_exponent = weights[name]
        found[name], passed = block_backward(cut[i], weight, error, x)
        if i:
            if models.ReLU() in cut[i - 1]:
                passed = relu_backward(passed, x)
            error, exponent = requantise(passed, exponent + weight_exponent)
    return found


def train_step(model, weights, images, labels, b_bp, loss="integer", scales=None):
    """One step of Full BP.  images: nested list of 0..255, or of decoded clouds.  scales: as of twins_training.
    Returns (new weights, L)."""
    x = images if models.takes_points(model) else mapped(lambda pixel: pixel >> 1, images), -7
    logits, inputs = twins.forward(model.layers, weights, x)
    exponents = {}
    steps = steps_of(gradients(model, weights, logits, inputs, labels, exponents), exponents, b_bp, scales)
    new = {name: (update(data, steps[name]), exponent) for name, (data, exponent) in weights.items()}
    return new, LOSSES[loss](logits, labels)
