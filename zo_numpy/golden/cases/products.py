"""Golden cases of the layers with weights: the matrix product, linear layers and convolutions."""
import numpy as np

from ...int8 import arith, layers
from .common import Case, Flag, Op, any_sum, axes, filled, flat, has_negative, int8, made_up, product_sum_beyond_int16

INT16 = "The accumulator has 16 bits and wraps."


def matmul_of(inputs, parameters):
    a, b = int8(inputs["a"]).astype(np.int32), int8(inputs["b"]).astype(np.int32)
    return {"accumulator": arith.matmul(a, b).tolist()}


def matmul_case(comment, a, b, *flags):
    return Case(comment, {"a": a, "b": b}, {}, flags)


MATMUL = Op(
    "The product of two int8 matrices (n, k) and (k, m), summed in int32: accumulator (n, m).",
    matmul_of,
    {"Int16Accumulator": Flag(INT16, product_sum_beyond_int16),
     "Int8Product": Flag("Each product is wrapped to 8 bits before it is added.", lambda i, p, e: any(
         abs(x * y) > 128 for x in flat(i["a"]) for y in flat(i["b"]))),
     "Float32Accumulator": Flag("Products are summed in 32-bit floats, exact to 2^24 only: enough for 1,040 "
                                "terms."),
     "UnsignedOperand": Flag("The first matrix is read as unsigned bytes.",
                             lambda i, p, e: has_negative(i["a"]) and any(flat(i["b"]))),
     "RectangularTransposed": Flag("The second matrix's memory is read as (m, k).", lambda i, p, e: any_sum(
         i, p, e) and min(np.shape(i["b"])) > 1 and len(set(flat(i["b"]))) > 1)},
    [matmul_case("one product, 127 * 127", [[127]], [[127]]),
     matmul_case("one product, 127 * -127", [[127]], [[-127]]),
     matmul_case("one product, -127 * -127", [[-127]], [[-127]]),
     matmul_case("small numbers", [[1, -2], [3, 4]], [[5, 6], [-7, 8]]),
     matmul_case("three products of 127 * 127 pass 2^15", [[127] * 3], filled(127, (3, 2))),
     matmul_case("two stay below", [[127] * 2], filled(127, (2, 1))),
     matmul_case("all -127 by 127", filled(-127, (2, 9)), filled(127, (9, 3))),
     matmul_case("zeros", filled(0, (2, 3)), made_up(0, (3, 2))),
     matmul_case("a row by a column", made_up(1, (1, 17)), made_up(2, (17, 1))),
     matmul_case("a column by a row", made_up(3, (5, 1)), made_up(4, (1, 3))),
     matmul_case("2 x 5 by 5 x 3", made_up(5, (2, 5)), made_up(6, (5, 3))),
     matmul_case("3 x 7 by 7 x 4", made_up(7, (3, 7)), made_up(8, (7, 4))),
     matmul_case("1,041 terms of 127 * 127", [[127] * 1041], [[127]] * 1041, "Float32Accumulator")])


def linear_of(inputs, parameters):
    return {"accumulator": layers.linear(int8(inputs["x"]), int8(inputs["weight"])).tolist()}


def linear_case(comment, x, weight):
    return Case(comment, {"x": x, "weight": weight})


LINEAR = Op(
    "A fully-connected layer: x (N, in) int8, weight (out, in) int8, accumulator (N, out) int32.",
    linear_of,
    {"WeightTransposed": Flag("The weight's memory is read as (in, out).", lambda i, p, e: any_sum(
        i, p, e) and min(np.shape(i["weight"])) > 1 and len(set(flat(i["weight"]))) > 1),
     "OutputTransposed": Flag("The result is written as (out, N).", lambda i, p, e: min(
         np.shape(e["accumulator"])) > 1 and len(set(flat(e["accumulator"]))) > 1),
     "FirstSampleOnly": Flag("Every sample gets the first one's result.",
                             lambda i, p, e: any(row != e["accumulator"][0] for row in e["accumulator"])),
     "LastFeatureDropped": Flag("An odd last feature is left out by a loop that takes two at a time.",
                                lambda i, p, e: len(i["x"][0]) % 2 == 1 and any_sum(i, p, e)),
     "Int16Accumulator": Flag(INT16, product_sum_beyond_int16),
     "UnsignedActivations": Flag("x is read as unsigned bytes.",
                                 lambda i, p, e: has_negative(i["x"]) and any(flat(i["weight"])))},
    [linear_case("one weight", [[127]], [[-127]]),
     linear_case("one input, three outputs, batch 2", [[3], [-5]], [[1], [-1], [127]]),
     linear_case("all 127", filled(127, (2, 20)), filled(127, (3, 20))),
     linear_case("all -127", filled(-127, (1, 21)), filled(-127, (2, 21))),
     linear_case("opposite extremes", filled(127, (3, 10)), filled(-127, (4, 10))),
     linear_case("zero input", filled(0, (2, 4)), made_up(0, (3, 4))),
     linear_case("zero weights", made_up(1, (2, 4)), filled(0, (3, 4))),
     linear_case("batch 1, inputs not negative", [[0, 1, 127, 64, 5, 0]], made_up(2, (4, 6))),
     linear_case("batch 3, 7 to 5", made_up(3, (3, 7)), made_up(4, (5, 7))),
     linear_case("square", made_up(5, (4, 4)), made_up(6, (4, 4))),
     linear_case("batch 1, 12 to 10", made_up(7, (1, 12)), made_up(8, (10, 12)))])


# Convolution.

def conv2d_of(inputs, parameters):
    return {"accumulator": layers.conv2d(int8(inputs["x"]), int8(inputs["weight"]),
                                         parameters["pad"]).tolist()}


def conv_case(comment, x, weight, pad):
    return Case(comment, {"x": x, "weight": weight}, {"pad": pad})


def turned(transform):
    """The predicate of kernels seen through `transform`, where the images show it."""
    return lambda i, p, e: any_sum(i, p, e) and max(axes("x", 2, 3)(i)) > 1 and np.any(
        np.array(i["weight"]) != transform(np.array(i["weight"])))


def border(x):
    x = np.array(x)
    return np.concatenate([x[:, :, [0, -1]].ravel(), x[:, :, :, [0, -1]].ravel()])


CONV2D = Op(
    "Convolution in the sense of neural networks (cross-correlation: the kernel is not flipped), stride 1, "
    "`pad` zeros on each side: x (N, C, H, W) int8, weight (C_out, C, k, k) int8, accumulator (N, C_out, H', "
    "W') int32.",
    conv2d_of,
    {"KernelFlipped": Flag("The kernel is turned by 180 degrees, as a mathematical convolution does.",
                           turned(lambda w: w[:, :, ::-1, ::-1])),
     "KernelTransposed": Flag("A kernel's rows and columns are swapped.", turned(lambda w: w.swapaxes(2, 3))),
     "WeightOrder": Flag("The weight's memory is read as (C, C_out, k, k).",
                         turned(lambda w: w.reshape(w.shape[1], w.shape[0], *w.shape[2:]).swapaxes(0, 1))),
     "ChannelsLast": Flag("The image's memory is read as (N, H, W, C).",
                          lambda i, p, e: axes("x", 1)(i) > (1,) and len(set(flat(i["x"]))) > 1),
     "RowStride": Flag("The rows of an image are taken to lie its height apart in memory, not its width.",
                       lambda i, p, e: len(set(axes("x", 2, 3)(i))) > 1 and any_sum(i, p, e)),
     "FirstChannelOnly": Flag("The accumulator starts anew with each input channel's image: only one is "
                              "summed.",
                              lambda i, p, e: axes("x", 1)(i) > (1,) and any_sum(i, p, e)),
     "PaddedAfterOnly": Flag("All padding is put behind the image, none before it.",
                             lambda i, p, e: p["pad"] > 0 and any_sum(i, p, e)),
     "EdgeReplicated": Flag("The padding repeats the border instead of being zero.",
                            lambda i, p, e: p["pad"] > 0 and any(border(i["x"])) and any(flat(i["weight"]))),
     "Int16Accumulator": Flag(INT16, product_sum_beyond_int16),
     "UnsignedActivations": Flag("x is read as unsigned bytes.", lambda i, p, e: has_negative(i["x"])
                                 and any_sum(i, p, e))},
    [conv_case("one pixel, one weight", [[[[127]]]], [[[[-127]]]], 0),
     conv_case("one bright pixel shows the kernel", [[[[0, 0, 0], [0, 1, 0], [0, 0, 0]]]],
               [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]], 1),
     conv_case("no padding, one output", [[[[1, 2], [3, 4]]]], [[[[10, -20], [30, 40]]]], 0),
     conv_case("a 1 x 1 kernel over two channels", made_up(0, (1, 2, 2, 2)), made_up(1, (3, 2, 1, 1)), 0),
     conv_case("5 x 5 with padding 2, all 127", filled(127, (1, 1, 6, 6)), filled(127, (1, 1, 5, 5)), 2),
     conv_case("5 x 5 with padding 2, all 127 by -127", filled(127, (1, 2, 5, 5)),
               filled(-127, (1, 2, 5, 5)), 2),
     conv_case("all -127", filled(-127, (2, 1, 4, 4)), filled(-127, (2, 1, 3, 3)), 1),
     conv_case("a kernel larger than the image", [[[[50]]]], made_up(2, (1, 1, 3, 3)), 1),
     conv_case("zero images", filled(0, (1, 2, 4, 4)), made_up(3, (2, 2, 3, 3)), 1),
     conv_case("zero weights", made_up(4, (1, 1, 4, 4)), filled(0, (2, 1, 3, 3)), 1),
     conv_case("a rectangular image", made_up(5, (1, 1, 3, 5)), made_up(6, (1, 1, 3, 3)), 1),
     conv_case("two images, three channels, two kernels", made_up(7, (2, 3, 5, 5)),
               made_up(8, (2, 3, 3, 3)), 1),
     conv_case("odd sizes, batch 3, no padding", made_up(9, (3, 2, 5, 7)), made_up(10, (3, 2, 3, 3)), 0),
     conv_case("an even kernel", made_up(11, (1, 1, 4, 4)), made_up(12, (2, 1, 2, 2)), 1),
     conv_case("pixels, which are not negative", np.abs(made_up(13, (1, 1, 8, 8))).tolist(),
               made_up(14, (3, 1, 5, 5), 31), 2)])


OPS = {"matmul": MATMUL, "linear": LINEAR, "conv2d": CONV2D}
