"""Golden cases of the layers: matrix products, convolutions, layers without weights, a block, the class chosen."""
import numpy as np

from ...int8 import arith, layers
from ...models import Conv2d, Flatten, Linear, MaxPool2d, ReLU
from .common import INT16, Case, Op, block_case, block_of, filled, int8, int32, made_up, scaled


def _matmul_of(inputs, parameters):
    a, b = int8(inputs["a"]).astype(np.int32), int8(inputs["b"]).astype(np.int32)
    return {"accumulator": arith.matmul(a, b).tolist()}


MATMUL = Op(
    "The product of two int8 matrices (n, k) and (k, m), summed in int32: accumulator (n, m).",
    _matmul_of,
    {"Int16Accumulator": INT16,
     "Int8Product": "Each product is wrapped to 8 bits before it is added.",
     "Float32Accumulator": "Products are summed in 32-bit floats, exact to 2^24 only: enough for 1,040 terms.",
     "UnsignedOperand": "The first matrix is read as unsigned bytes.",
     "RectangularTransposed": "The second matrix's memory is read as (m, k)."},
    [Case(comment, {"a": a, "b": b}) for comment, a, b in (
        ("one product, 127 * 127", [[127]], [[127]]),
        ("one product, 127 * -127", [[127]], [[-127]]),
        ("one product, -127 * -127", [[-127]], [[-127]]),
        ("small numbers", [[1, -2], [3, 4]], [[5, 6], [-7, 8]]),
        ("three products of 127 * 127 pass 2^15", [[127] * 3], filled(127, (3, 2))),
        ("two stay below", [[127] * 2], filled(127, (2, 1))),
        ("all -127 by 127", filled(-127, (2, 9)), filled(127, (9, 3))),
        ("zeros", filled(0, (2, 3)), made_up(0, (3, 2))),
        ("a row by a column", made_up(1, (1, 17)), made_up(2, (17, 1))),
        ("a column by a row", made_up(3, (5, 1)), made_up(4, (1, 3))),
        ("2 x 5 by 5 x 3", made_up(5, (2, 5)), made_up(6, (5, 3))),
        ("3 x 7 by 7 x 4", made_up(7, (3, 7)), made_up(8, (7, 4))),
        ("1,041 terms of 127 * 127", [[127] * 1041], [[127]] * 1041))])


def _linear_of(inputs, parameters):
    return {"accumulator": layers.linear(int8(inputs["x"]), int8(inputs["weight"])).tolist()}


LINEAR = Op(
    "A fully-connected layer: x (N, in) int8, weight (out, in) int8, accumulator (N, out) int32.",
    _linear_of,
    {"WeightTransposed": "The weight's memory is read as (in, out).",
     "OutputTransposed": "The result is written as (out, N).",
     "FirstSampleOnly": "Every sample gets the first one's result.",
     "LastFeatureDropped": "An odd last feature is left out by a loop that takes two at a time.",
     "Int16Accumulator": INT16,
     "UnsignedActivations": "x is read as unsigned bytes."},
    [Case(comment, {"x": x, "weight": weight}) for comment, x, weight in (
        ("one weight", [[127]], [[-127]]),
        ("one input, three outputs, batch 2", [[3], [-5]], [[1], [-1], [127]]),
        ("all 127", filled(127, (2, 20)), filled(127, (3, 20))),
        ("all -127", filled(-127, (1, 21)), filled(-127, (2, 21))),
        ("opposite extremes", filled(127, (3, 10)), filled(-127, (4, 10))),
        ("zero input", filled(0, (2, 4)), made_up(0, (3, 4))),
        ("zero weights", made_up(1, (2, 4)), filled(0, (3, 4))),
        ("batch 1, inputs not negative", [[0, 1, 127, 64, 5, 0]], made_up(2, (4, 6))),
        ("batch 3, 7 to 5", made_up(3, (3, 7)), made_up(4, (5, 7))),
        ("square", made_up(5, (4, 4)), made_up(6, (4, 4))),
        ("batch 1, 12 to 10", made_up(7, (1, 12)), made_up(8, (10, 12))))])


# Convolution.

def _conv2d_of(inputs, parameters):
    return {"accumulator": layers.conv2d(int8(inputs["x"]), int8(inputs["weight"]), parameters["pad"]).tolist()}


CONV2D = Op(
    "Convolution in the sense of neural networks (cross-correlation: the kernel is not flipped), stride 1, `pad` "
    "zeros on each side: x (N, C, H, W) int8, weight (C_out, C, k, k) int8, accumulator (N, C_out, H', W') int32.",
    _conv2d_of,
    {"KernelFlipped": "The kernel is turned by 180 degrees, as a mathematical convolution does.",
     "KernelTransposed": "A kernel's rows and columns are swapped.",
     "WeightOrder": "The weight's memory is read as (C, C_out, k, k).",
     "ChannelsLast": "The image's memory is read as (N, H, W, C).",
     "RowStride": "The rows of an image are taken to lie its height apart in memory, not its width.",
     "FirstChannelOnly": "The accumulator starts anew with each input channel's image: only one is summed.",
     "PaddedAfterOnly": "All padding is put behind the image, none before it.",
     "EdgeReplicated": "The padding repeats the border instead of being zero.",
     "Int16Accumulator": INT16,
     "UnsignedActivations": "x is read as unsigned bytes."},
    [Case(comment, {"x": x, "weight": weight}, {"pad": pad}) for comment, x, weight, pad in (
        ("one pixel, one weight", [[[[127]]]], [[[[-127]]]], 0),
        ("one bright pixel shows the kernel", [[[[0, 0, 0], [0, 1, 0], [0, 0, 0]]]],
         [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]], 1),
        ("no padding, one output", [[[[1, 2], [3, 4]]]], [[[[10, -20], [30, 40]]]], 0),
        ("a 1 x 1 kernel over two channels", made_up(0, (1, 2, 2, 2)), made_up(1, (3, 2, 1, 1)), 0),
        ("5 x 5 with padding 2, all 127", filled(127, (1, 1, 6, 6)), filled(127, (1, 1, 5, 5)), 2),
        ("5 x 5 with padding 2, all 127 by -127", filled(127, (1, 2, 5, 5)), filled(-127, (1, 2, 5, 5)), 2),
        ("all -127", filled(-127, (2, 1, 4, 4)), filled(-127, (2, 1, 3, 3)), 1),
        ("a kernel larger than the image", [[[[50]]]], made_up(2, (1, 1, 3, 3)), 1),
        ("zero images", filled(0, (1, 2, 4, 4)), made_up(3, (2, 2, 3, 3)), 1),
        ("zero weights", made_up(4, (1, 1, 4, 4)), filled(0, (2, 1, 3, 3)), 1),
        ("a rectangular image", made_up(5, (1, 1, 3, 5)), made_up(6, (1, 1, 3, 3)), 1),
        ("two images, three channels, two kernels", made_up(7, (2, 3, 5, 5)), made_up(8, (2, 3, 3, 3)), 1),
        ("odd sizes, batch 3, no padding", made_up(9, (3, 2, 5, 7)), made_up(10, (3, 2, 3, 3)), 0),
        ("an even kernel", made_up(11, (1, 1, 4, 4)), made_up(12, (2, 1, 2, 2)), 1),
        ("pixels, which are not negative", np.abs(made_up(13, (1, 1, 8, 8))).tolist(),
         made_up(14, (3, 1, 5, 5), 31), 2))])


def _max_pool2d_of(inputs, parameters):
    return {"result": layers.max_pool2d(int32(inputs["x"]), parameters["size"]).tolist()}


MAX_POOL2D = Op(
    "The maximum over windows of size x size that do not overlap, on the int32 accumulator: (N, C, H, W) to (N, C, "
    "H / size, W / size).",
    _max_pool2d_of,
    {"ZeroStart": "The maximum starts from 0, so that it is never negative.",
     "StrideOne": "Windows move by one and overlap.",
     "LargestMagnitude": "The element of largest magnitude is taken.",
     "Average": "The mean is taken.",
     "NarrowedFirst": "The accumulator is cut to 16 bits before pooling.",
     "RowStride": "The rows of an image are taken to lie its height apart in memory, not its width."},
    [Case(comment, {"x": x}, {"size": size}) for comment, x, size in (
        ("one window", [[[[1, 2], [3, 4]]]], 2),
        ("the maximum in each corner", [[[[9, 1, 1, 9], [1, 1, 1, 1], [1, 1, 1, 1], [9, 1, 1, 9]]]], 2),
        ("all negative", [[[[-5, -7], [-6, -8]]]], 2),
        ("zeros and negatives", [[[[0, -7], [-6, -8]]]], 2),
        ("equal values", filled(-3, (1, 2, 2, 4)), 2),
        ("windows of one", [[[[-1, 70000], [2, 3]]]], 1),
        ("windows of three", made_up(0, (1, 1, 3, 6)), 3),
        ("accumulators", scaled(made_up(1, (2, 3, 4, 6)), 4093), 2),
        ("32-bit extremes", [[[[-2**31 + 1, 2**31 - 1], [2**16, -2**16]]]], 2))])


MAX_POOL2D_REST = Op(
    "max_pool2d where size does not divide H or W: what is beyond the last whole window is dropped, (N, C, H, W) to "
    "(N, C, H // size, W // size).",
    _max_pool2d_of,
    {"RestPooled": "What is left at the edge becomes a smaller window.",
     "RowsRestPooled": "The same, of rows alone.",
     "RestFirst": "The rest is dropped at the beginning of rows and columns.",
     "RowOfWholeWindows": "The rows of an image are taken to be as long as its whole windows.",
     "ImageOfWholeWindows": "The next image is taken to begin behind the last whole window's row."},
    [Case(comment, {"x": x}, {"size": size}) for comment, x, size in (
        ("an odd number of rows", made_up(0, (1, 1, 3, 4)), 2),
        ("an odd number of columns", made_up(1, (1, 1, 4, 3)), 2),
        ("both, one window", made_up(2, (1, 1, 3, 3)), 2),
        ("the rest is largest", [[[[1, 2, 9], [3, 4, 9], [9, 9, 9]]]], 2),
        ("all negative", filled(-3, (1, 1, 5, 5)), 2),
        ("windows of three and a rest of two", made_up(3, (1, 1, 5, 8)), 3),
        ("images and channels", scaled(made_up(4, (2, 3, 5, 7)), 4093), 2),
        ("rows alone, two images", made_up(5, (2, 1, 5, 2)), 2))])


def _relu_of(inputs, parameters):
    return {"result": layers.relu(int32(inputs["x"])).tolist()}


RELU = Op(
    "max(0, x) of each element, on the int32 accumulator.",
    _relu_of,
    {"Magnitude": "The magnitude is taken.",
     "ReluMissing": "Nothing is done.",
     "NarrowedFirst": "The accumulator is cut to 16 bits before the comparison.",
     "ClippedTo127": "The result is clipped to 127 as if it were int8."},
    [Case("not negative", {"x": [[0, 1, 127]]}),
     Case("not positive", {"x": [[0, -1, -127]]}),
     Case("beyond int8", {"x": [[128, -128], [-129, 255]]}),
     Case("only negatives are beyond 16 bits", {"x": [[-40000], [5]]}),
     Case("32-bit extremes", {"x": [[2**31 - 1, -2**31 + 1, 2**16, -2**16, 2**15]]}),
     Case("an image", {"x": made_up(0, (2, 2, 2, 3))})])


def _flatten_of(inputs, parameters):
    return {"result": layers.flatten(int32(inputs["x"])).tolist()}


FLATTEN = Op(
    "(N, C, H, W) to (N, C H W), features in C order: W fastest, then H, then C.",
    _flatten_of,
    {"ChannelsLast": "Features are ordered (H, W, C).",
     "ColumnsFirst": "Features are ordered (C, W, H).",
     "BatchInside": "Samples are interleaved: the image index is fastest."},
    [Case(f"{n} x {c} x {h} x {w}", {"x": np.arange(n * c * h * w).reshape(n, c, h, w).tolist()})
     for n, c, h, w in ((1, 1, 1, 1), (1, 3, 1, 1), (1, 1, 2, 3), (2, 3, 2, 2), (3, 1, 1, 4), (2, 2, 3, 1))])


# A block.

FORWARD_BLOCK = Op(
    "A block: a layer with weights, the weightless layers behind it, and one requantisation at the end. `after` "
    "has the result of each weightless layer; maximum, shift, data and exponent are the requantisation's, whose "
    "exponent is that of x plus that of the weights plus shift.",
    block_of(layers.forward_block),
    {"RequantisedFirst": "The accumulator is requantised before pooling and ReLU.",
     "MaximumOfEachSample": "Each sample of the batch has its own maximum and shift.",
     "WeightExponentForgotten": "The exponent of the weights is not added.",
     "InputExponentForgotten": "The exponent of x is not added.",
     "ReluMissing": "ReLU is left out."},
    [block_case("the largest magnitude is negative and does not survive ReLU", (Linear("fc", 1, 2), ReLU()), [[100]],
                [[-127], [1]]),
     block_case("one without ReLU, as the last of a network", (Linear("fc", 2, 2),), [[100, 5], [-3, 2]],
                [[-127, 3], [1, 0]]),
     block_case("a batch of two: one bright, one dark", (Linear("fc", 2, 2), ReLU()), [[127, 127], [1, 2]],
                [[127, 127], [3, -4]]),
     block_case("nothing survives", (Linear("fc", 2, 2), ReLU()), [[1, 2]], [[-5, -6], [-7, 1]]),
     block_case("convolution, pooling, ReLU", (Conv2d("conv", 1, 2, 3, 1), MaxPool2d(2), ReLU()),
                made_up(40, (2, 1, 4, 4)), made_up(41, (2, 1, 3, 3))),
     block_case("convolution, pooling, ReLU, flatten", (Conv2d("conv", 2, 3, 3, 1), MaxPool2d(2), ReLU(), Flatten()),
                made_up(42, (2, 2, 4, 2)), made_up(43, (3, 2, 3, 3)), exponents=(-3, -8)),
     block_case("no shift", (Linear("fc", 3, 2), ReLU()), [[1, 2, 3]], [[4, 5, 6], [-7, 8, -9]], exponents=(0, 0)),
     block_case("a linear layer, batch 3", (Linear("fc", 7, 5), ReLU()), made_up(44, (3, 7)), made_up(45, (5, 7)),
                exponents=(2, -8))])


def _classify_of(inputs, parameters):
    return {"classes": int8(inputs["logits"]).argmax(axis=1).tolist()}


CLASSIFY = Op(
    "The class of each sample: the index of its largest int8 logit, the lowest index where several are largest.",
    _classify_of,
    {"LastOfEqual": "The highest index is taken where several logits are largest.",
     "ZeroStart": "The search starts from a maximum of 0 and class 0, and finds no negative logit.",
     "UnsignedLogits": "Logits are read as unsigned bytes."},
    [Case("one class", {"logits": [[5], [-5]]}),
     Case("not negative", {"logits": [[0, 1, 127, 3], [9, 8, 7, 6]]}),
     Case("equal logits", {"logits": [[3, 7, 7, 0], [0, 0, 0, 0]]}),
     Case("all negative, the first is largest", {"logits": [[-1, -7, -5, -127]]}),
     Case("all negative", {"logits": [[-9, -7, -5, -127]]}),
     Case("ten classes", {"logits": made_up(0, (3, 10))})])


OPS = {"matmul": MATMUL, "linear": LINEAR, "conv2d": CONV2D, "max_pool2d": MAX_POOL2D,
       "max_pool2d_rest": MAX_POOL2D_REST, "relu": RELU,
       "flatten": FLATTEN, "forward_block": FORWARD_BLOCK, "classify": CLASSIFY}
