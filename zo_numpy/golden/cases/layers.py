"""Golden cases of the layers without weights, of a block with its requantisation, and of the class chosen."""
import numpy as np

from ...int8 import arith, layers
from ...models import Conv2d, Flatten, Linear, MaxPool2d, ReLU
from .common import (Case, Flag, Op, axes, beyond, described, filled, flat, has_negative, int32, int8, layers_from,
                     listed, made_up, quantised, scaled)


def max_pool2d_of(inputs, parameters):
    return {"result": layers.max_pool2d(int32(inputs["x"]), parameters["size"]).tolist()}


def windows(x, size):
    """All windows of a (N, C, H, W) nested list, as rows of an array."""
    x = np.array(x)
    n, c, h, w = x.shape
    return x.reshape(n, c, h // size, size, w // size, size).swapaxes(3, 4).reshape(-1, size * size)


def not_constant(inputs):
    return len(set(flat(inputs["x"]))) > 1


def pool_case(comment, x, size):
    return Case(comment, {"x": x}, {"size": size})


MAX_POOL2D = Op(
    "The maximum over windows of size x size that do not overlap, on the int32 accumulator: (N, C, H, W) to "
    "(N, C, H / size, W / size).",
    max_pool2d_of,
    {"ZeroStart": Flag("The maximum starts from 0, so that it is never negative.",
                       lambda i, p, e: has_negative(e["result"])),
     "StrideOne": Flag("Windows move by one and overlap.", lambda i, p, e: p["size"] > 1 and not_constant(i)
                       and len(flat(e["result"])) > len(i["x"]) * len(i["x"][0])),
     "LargestMagnitude": Flag("The element of largest magnitude is taken.", lambda i, p, e: any(
         -row.min() > row.max() > row.min() for row in windows(i["x"], p["size"]))),
     "Average": Flag("The mean is taken.", lambda i, p, e: any(
         row.min() < row.max() for row in windows(i["x"], p["size"]))),
     "NarrowedFirst": Flag("The accumulator is cut to 16 bits before pooling.",
                           lambda i, p, e: beyond(i["x"], 2**15)),
     "RowStride": Flag("The rows of an image are taken to lie its height apart in memory, not its width.",
                       lambda i, p, e: len(set(axes("x", 2, 3)(i))) > 1 and not_constant(i))},
    [pool_case("one window", [[[[1, 2], [3, 4]]]], 2),
     pool_case("the maximum in each corner", [[[[9, 1, 1, 9], [1, 1, 1, 1], [1, 1, 1, 1], [9, 1, 1, 9]]]], 2),
     pool_case("all negative", [[[[-5, -7], [-6, -8]]]], 2),
     pool_case("zeros and negatives", [[[[0, -7], [-6, -8]]]], 2),
     pool_case("equal values", filled(-3, (1, 2, 2, 4)), 2),
     pool_case("windows of one", [[[[-1, 70000], [2, 3]]]], 1),
     pool_case("windows of three", made_up(0, (1, 1, 3, 6)), 3),
     pool_case("accumulators", scaled(made_up(1, (2, 3, 4, 6)), 4093), 2),
     pool_case("32-bit extremes", [[[[-2**31 + 1, 2**31 - 1], [2**16, -2**16]]]], 2)])


def relu_of(inputs, parameters):
    return {"result": layers.relu(int32(inputs["x"])).tolist()}


RELU = Op(
    "max(0, x) of each element, on the int32 accumulator.",
    relu_of,
    {"Magnitude": Flag("The magnitude is taken.", lambda i, p, e: has_negative(i["x"])),
     "ReluMissing": Flag("Nothing is done.", lambda i, p, e: has_negative(i["x"])),
     "NarrowedFirst": Flag("The accumulator is cut to 16 bits before the comparison.",
                           lambda i, p, e: beyond(i["x"], 2**15)),
     "ClippedTo127": Flag("The result is clipped to 127 as if it were int8.",
                          lambda i, p, e: max(flat(i["x"])) > 127)},
    [Case("not negative", {"x": [[0, 1, 127]]}),
     Case("not positive", {"x": [[0, -1, -127]]}),
     Case("beyond int8", {"x": [[128, -128], [-129, 255]]}),
     Case("only negatives are beyond 16 bits", {"x": [[-40000], [5]]}),
     Case("32-bit extremes", {"x": [[2**31 - 1, -2**31 + 1, 2**16, -2**16, 2**15]]}),
     Case("an image", {"x": made_up(0, (2, 2, 2, 3))})])


def flatten_of(inputs, parameters):
    return {"result": layers.flatten(int32(inputs["x"])).tolist()}


FLATTEN = Op(
    "(N, C, H, W) to (N, C H W), features in C order: W fastest, then H, then C.",
    flatten_of,
    {"ChannelsLast": Flag("Features are ordered (H, W, C).", lambda i, p, e: axes("x", 1)(i) > (1,) and max(
        axes("x", 2, 3)(i)) > 1),
     "ColumnsFirst": Flag("Features are ordered (C, W, H).", lambda i, p, e: min(axes("x", 2, 3)(i)) > 1),
     "BatchInside": Flag("Samples are interleaved: the image index is fastest.",
                         lambda i, p, e: len(i["x"]) > 1 and len(e["result"][0]) > 1)},
    [Case(f"{n} x {c} x {h} x {w}", {"x": np.arange(n * c * h * w).reshape(n, c, h, w).tolist()})
     for n, c, h, w in ((1, 1, 1, 1), (1, 3, 1, 1), (1, 1, 2, 3), (2, 3, 2, 2), (3, 1, 1, 4), (2, 2, 3, 1))])


# A block.

def forward_block_of(inputs, parameters):
    block = layers_from(parameters["layers"])
    x, weight = quantised(inputs["x"]), quantised(inputs["weight"])
    seen = []
    result = layers.forward_block(block, {block[0].name: weight}, x,
                                  lambda op, name, value: seen.append(value))
    stages = seen[:-1]
    return {"accumulator": stages[0].tolist(), "after": [stage.tolist() for stage in stages[1:]],
            "maximum": arith.max_abs(stages[-1]), "shift": arith.requantise_shift(stages[-1]),
            **listed(result)}


def block_case(comment, block, x, weight, *flags, exponents=(-7, -9)):
    return Case(comment, {"x": {"data": x, "exponent": exponents[0]},
                          "weight": {"data": weight, "exponent": exponents[1]}},
                {"layers": described(block)}, flags)


FORWARD_BLOCK = Op(
    "A block: a layer with weights, the weightless layers behind it, and one requantisation at the end. "
    "`after` has the result of each weightless layer; maximum, shift, data and exponent are the "
    "requantisation's, whose exponent is that of x plus that of the weights plus shift.",
    forward_block_of,
    {"RequantisedFirst": Flag("The accumulator is requantised before pooling and ReLU."),
     "MaximumOfEachSample": Flag("Each sample of the batch has its own maximum and shift."),
     "WeightExponentForgotten": Flag("The exponent of the weights is not added.",
                                     lambda i, p, e: i["weight"]["exponent"] != 0),
     "InputExponentForgotten": Flag("The exponent of x is not added.",
                                    lambda i, p, e: i["x"]["exponent"] != 0),
     "ReluMissing": Flag("ReLU is left out.")},
    [block_case("the largest magnitude is negative and does not survive ReLU", (Linear("fc", 1, 2), ReLU()),
                [[100]], [[-127], [1]],
                "RequantisedFirst", "ReluMissing"),
     block_case("one without ReLU, as the last of a network", (Linear("fc", 2, 2),), [[100, 5], [-3, 2]],
                [[-127, 3], [1, 0]],
                "MaximumOfEachSample"),
     block_case("a batch of two: one bright, one dark", (Linear("fc", 2, 2), ReLU()), [[127, 127], [1, 2]],
                [[127, 127], [3, -4]],
                "RequantisedFirst", "MaximumOfEachSample", "ReluMissing"),
     block_case("nothing survives", (Linear("fc", 2, 2), ReLU()), [[1, 2]], [[-5, -6], [-7, 1]],
                "ReluMissing"),
     block_case("convolution, pooling, ReLU", (Conv2d("conv", 1, 2, 3, 1), MaxPool2d(2), ReLU()),
                made_up(40, (2, 1, 4, 4)), made_up(41, (2, 1, 3, 3)),
                "RequantisedFirst", "ReluMissing"),
     block_case("convolution, pooling, ReLU, flatten", (Conv2d("conv", 2, 3, 3, 1), MaxPool2d(2), ReLU(),
                                                        Flatten()),
                made_up(42, (2, 2, 4, 2)), made_up(43, (3, 2, 3, 3)), "RequantisedFirst", exponents=(-3, -8)),
     block_case("no shift", (Linear("fc", 3, 2), ReLU()), [[1, 2, 3]], [[4, 5, 6], [-7, 8, -9]],
                "ReluMissing", exponents=(0, 0)),
     block_case("a linear layer, batch 3", (Linear("fc", 7, 5), ReLU()), made_up(44, (3, 7)),
                made_up(45, (5, 7)), "RequantisedFirst", "MaximumOfEachSample", "ReluMissing",
                exponents=(2, -8))])


def classify_of(inputs, parameters):
    return {"classes": int8(inputs["logits"]).argmax(axis=1).tolist()}


CLASSIFY = Op(
    "The class of each sample: the index of its largest int8 logit, the lowest index where several are "
    "largest.",
    classify_of,
    {"LastOfEqual": Flag("The highest index is taken where several logits are largest.", lambda i, p, e: any(
        row.count(max(row)) > 1 for row in i["logits"])),
     "ZeroStart": Flag("The search starts from a maximum of 0 and class 0, and finds no negative logit.",
                       lambda i, p, e: any(
                           max(row) < 0 and c > 0 for row, c in zip(i["logits"], e["classes"]))),
     "UnsignedLogits": Flag("Logits are read as unsigned bytes.", lambda i, p, e: any(
         min(row) < 0 and row.index(min((v for v in row if v < 0), key=lambda v: -v)) != c
         for row, c in zip(i["logits"], e["classes"])))},
    [Case("one class", {"logits": [[5], [-5]]}),
     Case("not negative", {"logits": [[0, 1, 127, 3], [9, 8, 7, 6]]}),
     Case("equal logits", {"logits": [[3, 7, 7, 0], [0, 0, 0, 0]]}),
     Case("all negative, the first is largest", {"logits": [[-1, -7, -5, -127]]}),
     Case("all negative", {"logits": [[-9, -7, -5, -127]]}),
     Case("ten classes", {"logits": made_up(0, (3, 10))})])


OPS = {"max_pool2d": MAX_POOL2D, "relu": RELU, "flatten": FLATTEN, "forward_block": FORWARD_BLOCK,
       "classify": CLASSIFY}
