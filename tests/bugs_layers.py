"""Ports with one bug each in the forwards: BUGS[op][flag], see bugs.py."""
import functools

import numpy as np

import twins
from bugs_arith import of_each_sample
from bugs_common import INT16_ACCUMULATOR, answering, cut_to_16_bits, float32, misread, unsigned, using, wrapped
from twin_ops import as_dict
from twins import flat, mapped, requantise, shaped
from zo_numpy.golden.cases.common import layers_from


def reread(name, *order):
    """The bug of a port that takes a tensor's memory for one whose axes are stored in another order.

    order: the axes, outermost in memory first.
    """
    def change(i):
        array = np.array(i[name])
        stored = array.reshape([array.shape[axis] for axis in order])
        return {name: stored.transpose(np.argsort(order)).tolist()}
    return misread(change)


def rows_a_height_apart(i):
    """Each image row is read from where it would begin if rows were as long as the image is high."""
    memory, (n, c, height, width) = flat(i["x"]), np.shape(i["x"])
    return {"x": [[[[memory[((image * c + channel) * height * width + row * height + column) % len(memory)]
                     for column in range(width)] for row in range(height)]
                   for channel in range(c)] for image in range(n)]}


def rewritten(field, *order):
    """The bug of a port that writes its result's memory with the axes in another order."""
    def change(i, p, right):
        array = np.array(right[field])
        return array.transpose(order).reshape(array.shape).tolist()
    return answering(**{field: change})


def float32_sum(products):
    return int(functools.reduce(lambda total, product: float32(total + product), products, 0.0))


def summing(sum_of):
    """The bug of a port that sums the products of a row and a column by sum_of."""
    return using(matmul=lambda a, b: [[sum_of([x * y for x, y in zip(row, column)]) for column in zip(*b)]
                                      for row in a])


MATMUL = {
    "Int16Accumulator": INT16_ACCUMULATOR,
    "Int8Product": summing(lambda products: sum(wrapped(v, 8) for v in products)),
    "Float32Accumulator": summing(float32_sum),
    "UnsignedOperand": unsigned("a"),
    "RectangularTransposed": reread("b", 1, 0)}

LINEAR = {
    "WeightTransposed": reread("weight", 1, 0),
    "OutputTransposed": rewritten("accumulator", 1, 0),
    "FirstSampleOnly": answering(accumulator=lambda i, p, right: [right["accumulator"][0]] * len(i["x"])),
    "LastFeatureDropped": misread(lambda i: {"x": [row[:-1] + [0] if len(row) % 2 else row
                                                   for row in i["x"]]}),
    "Int16Accumulator": INT16_ACCUMULATOR,
    "UnsignedActivations": unsigned("x")}


# Convolution.

def padded(before, after, mode="constant"):
    """The bug of a port that pads in another way."""
    def bug(twin, i, p):
        pads = [(0, 0), (0, 0)] + [(before(p["pad"]), after(p["pad"]))] * 2
        return twin({**i, "x": np.pad(np.array(i["x"]), pads, mode=mode).tolist()}, {**p, "pad": 0})
    return bug


def reread_weight_by_input_channel(i):
    w = np.array(i["weight"])
    return {"weight": w.reshape(w.shape[1], w.shape[0], *w.shape[2:]).swapaxes(0, 1).tolist()}


CONV2D = {
    "KernelFlipped": misread(lambda i: {"weight": np.array(i["weight"])[:, :, ::-1, ::-1].tolist()}),
    "KernelTransposed": misread(lambda i: {"weight": np.array(i["weight"]).swapaxes(2, 3).tolist()}),
    "WeightOrder": misread(reread_weight_by_input_channel),
    "ChannelsLast": reread("x", 0, 2, 3, 1),
    "RowStride": misread(rows_a_height_apart),
    "FirstChannelOnly": misread(lambda i: {"x": [image[-1:] for image in i["x"]],
                                           "weight": [kernel[-1:] for kernel in i["weight"]]}),
    "PaddedAfterOnly": padded(lambda pad: 0, lambda pad: 2 * pad),
    "EdgeReplicated": padded(lambda pad: pad, lambda pad: pad, "edge"),
    "Int16Accumulator": INT16_ACCUMULATOR,
    "UnsignedActivations": unsigned("x")}


# Layers without weights.

def pooled(choose, stride=None):
    """Pooling in which choose(list) stands for max, and windows that reach beyond the edge are cut off."""
    def max_pool2d(x, size):
        step = stride or size
        return [[[[choose([v for row in plane[a * step:a * step + size]
                           for v in row[b * step:b * step + size]])
                   for b in range(len(plane[0]) // size)] for a in range(len(plane) // size)]
                 for plane in image] for image in x]
    return using(max_pool2d=max_pool2d)


MAX_POOL2D = {
    "ZeroStart": pooled(lambda values: max(0, *values)),
    "StrideOne": pooled(max, stride=1),
    "LargestMagnitude": pooled(lambda values: max(values, key=lambda v: (abs(v), v))),
    "Average": pooled(lambda values: sum(values) // len(values)),
    "NarrowedFirst": cut_to_16_bits("x"),
    "RowStride": misread(rows_a_height_apart)}

def with_rest(rows, columns):
    """The bug of a port that pools what is left at the edge as a smaller window, of rows, of columns or of both."""
    def max_pool2d(x, size):
        def starts(count, rest):
            return range(0, count if rest else count // size * size, size)
        return [[[[max(v for row in plane[a:a + size] for v in row[b:b + size])
                   for b in starts(len(plane[0]), columns)] for a in starts(len(plane), rows)]
                 for plane in image] for image in x]
    return using(max_pool2d=max_pool2d)


def of_memory(plane_of):
    """The bug of a port that finds its planes elsewhere in memory: plane_of(numbers, n, height, width, size)."""
    def bug(twin, i, p):
        x = np.array(i["x"])
        n, c, height, width = x.shape
        numbers = np.concatenate([x.reshape(-1), np.zeros(x.size, int)])
        planes = [plane_of(numbers, k, height, width, p["size"]) for k in range(n * c)]
        whole = [side // p["size"] * p["size"] for side in (height, width)]
        return twin({**i, "x": np.reshape(planes, (n, c, *whole)).tolist()}, p)
    return bug


def rows_of_whole_windows(numbers, k, height, width, size):
    rows, columns = height // size * size, width // size * size
    return numbers[k * height * width:][:rows * columns]


def images_of_whole_windows(numbers, k, height, width, size):
    rows, columns = height // size * size, width // size * size
    return numbers[k * rows * width:][:rows * width].reshape(rows, width)[:, :columns]


MAX_POOL2D_REST = {
    "RestPooled": with_rest(True, True),
    "RowsRestPooled": with_rest(True, False),
    "RestFirst": lambda twin, i, p: twin({**i, "x": np.array(i["x"])[
        :, :, np.shape(i["x"])[2] % p["size"]:, np.shape(i["x"])[3] % p["size"]:].tolist()}, p),
    "RowOfWholeWindows": of_memory(rows_of_whole_windows),
    "ImageOfWholeWindows": of_memory(images_of_whole_windows)}

RELU = {
    "Magnitude": using(relu=lambda x: mapped(abs, x)),
    "ReluMissing": using(relu=lambda x: x),
    "NarrowedFirst": cut_to_16_bits("x"),
    "ClippedTo127": using(relu=lambda x: mapped(lambda v: min(127, max(0, v)), x))}

FLATTEN = {
    "ChannelsLast": misread(lambda i: {"x": np.array(i["x"]).transpose(0, 2, 3, 1).tolist()}),
    "ColumnsFirst": misread(lambda i: {"x": np.array(i["x"]).swapaxes(2, 3).tolist()}),
    "BatchInside": answering(result=lambda i, p, right: shaped(
        [v for feature in zip(*right["result"]) for v in feature], np.shape(right["result"])))}


def requantised_first(twin, i, p):
    first, *others = layers_from(p["layers"])
    accumulator = twins.apply_layer(first, i["weight"]["data"], i["x"]["data"])
    data, exponent = requantise(accumulator, i["x"]["exponent"] + i["weight"]["exponent"])
    after = []
    for layer in others:
        data = twins.apply_layer(layer, None, data)
        after.append(data)
    return {**twin(i, p), "after": after, **as_dict((data, exponent))}


def without_exponent(name):
    return misread(lambda i: {name: {**i[name], "exponent": 0}})


FORWARD_BLOCK = {
    "RequantisedFirst": requantised_first,
    "MaximumOfEachSample": using(requantise=of_each_sample),
    "WeightExponentForgotten": without_exponent("weight"),
    "InputExponentForgotten": without_exponent("x"),
    "ReluMissing": using(relu=lambda x: x)}


def zero_start(row):
    best, best_class = 0, 0
    for k, v in enumerate(row):
        if v > best:
            best, best_class = v, k
    return best_class


CLASSIFY = {
    "LastOfEqual": answering(classes=lambda i, p, right: [
        len(row) - 1 - row[::-1].index(max(row)) for row in i["logits"]]),
    "ZeroStart": answering(classes=lambda i, p, right: [zero_start(row) for row in i["logits"]]),
    "UnsignedLogits": unsigned("logits")}


BUGS = {"matmul": MATMUL, "linear": LINEAR, "conv2d": CONV2D, "max_pool2d": MAX_POOL2D,
        "max_pool2d_rest": MAX_POOL2D_REST, "relu": RELU,
        "flatten": FLATTEN, "forward_block": FORWARD_BLOCK, "classify": CLASSIFY}
