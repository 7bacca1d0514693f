"""Golden cases of PointNet's layers: points decoded, the shared linear layer, the maximum over the points, a block."""
import numpy as np

from ...clouds import quantised_clouds
from ...int8 import arith, layers, points
from ...models import MaxOverPoints, PointLinear, ReLU
from ...shapes import max_over_points
from .common import (Case, Flag, Op, beyond, described, filled, flat, has_negative, int32, int8, integers,
                     layers_from, listed, made_up, product_sum_beyond_int16, quantised, scaled)


def float32(numbers):
    return np.array(numbers, np.float32)


def coordinates(bits):
    """IEEE 754 bit patterns as the float32 numbers they stand for."""
    return integers(bits, np.int64, 0, 2**32 - 1).astype(np.uint32).view(np.float32)


def decode_points_of(inputs, parameters):
    return {"data": quantised_clouds(coordinates(inputs["bits"])).tolist()}


def decode_case(comment, *values):
    return Case(comment, {"bits": np.float32(values).view(np.uint32).tolist()})


def away_from_zero(inputs, parameters, expected):
    """Whether some coordinate times 127 is nearer to the integer further from zero."""
    exact = np.abs(coordinates(inputs["bits"]).astype(np.float64)) * 127
    return np.any(np.floor(exact) < np.abs(expected["data"]))


DECODE_POINTS = Op(
    "A coordinate, a float32 given by its bit pattern, as it is decoded before training: 127 x to the nearest integer, "
    "half away from zero, clipped to +-127. The product is exact: 31 bits suffice.",
    decode_points_of,
    {"Truncated": Flag("Fractions are dropped.", away_from_zero),
     "FloorOfNegative": Flag("floor(127 x + 1/2), which rounds a negative half up.", lambda i, p, e: np.any(
         coordinates(i["bits"]) == -0.5)),
     "NotClipped": Flag("127 x that rounds to more than 127 is kept, or wraps.", lambda i, p, e: np.any(
         np.abs(coordinates(i["bits"])) * 127 >= 127.5)),
     "Scale128": Flag("128 x is taken.", lambda i, p, e: np.any(
         np.minimum(np.floor(np.abs(coordinates(i["bits"]).astype(np.float64)) * 128 + 0.5), 127)
         != np.abs(e["data"])))},
    [decode_case("zero, of both signs", 0.0, -0.0),
     decode_case("one", 1.0, -1.0),
     decode_case("the only halves", 0.5, -0.5),
     decode_case("beside the halves", *np.nextafter(float32([0.5, 0.5, -0.5, -0.5]), float32([0, 1, 0, -1]))),
     decode_case("halves of other integers, as near as a float32 comes",
                 *(np.float32(k + 0.5) / 127 for k in range(6))),
     decode_case("their neighbours",
                 *np.nextafter(float32([0.5 / 127, -2.5 / 127, 99.5 / 127]), float32([1, -1, 1]))),
     decode_case("multiples of 1 / 127", *(k / 127 for k in (-126, -64, -1, 1, 63, 126))),
     decode_case("a little beyond the sphere", 1.001, -1.001, 1.004, -1.004),
     decode_case("very small", 1e-30, -1e-30, 1e-45)])


def point_linear_of(inputs, parameters):
    return {"accumulator": points.point_linear(int8(inputs["x"]), int8(inputs["weight"])).tolist()}


def linear_case(comment, x, weight):
    return Case(comment, {"x": x, "weight": weight})



def points_first(inputs, parameters, expected):
    """Whether a result written as (N, C_out, P) is another."""
    result = np.array(expected["accumulator"])
    return np.any(result.transpose(0, 2, 1).reshape(result.shape) != result)


POINT_LINEAR = Op(
    "A linear layer that all points share: x (N, P, C) int8, weight (C_out, C) int8, accumulator (N, P, C_out) int32.",
    point_linear_of,
    {"FirstPointOnly": Flag("Every point gets the result of its cloud's first one.", lambda i, p, e: any(
        row != cloud[0] for cloud in e["accumulator"] for row in cloud)),
     "FirstCloudOnly": Flag("Every cloud gets the first one's result.", lambda i, p, e: any(
         cloud != e["accumulator"][0] for cloud in e["accumulator"])),
     "ChannelsFirst": Flag("The result is written as (N, C_out, P).", points_first),
     "Int16Accumulator": Flag("The accumulator has 16 bits and wraps.", product_sum_beyond_int16),
     "UnsignedActivations": Flag("x is read as unsigned bytes.",
                                 lambda i, p, e: has_negative(i["x"]) and any(flat(i["weight"])))},
    [linear_case("one point, one weight", [[[127]]], [[-127]]),
     linear_case("three coordinates", [[[1, 2, 3], [-4, 5, -6]]], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]),
     linear_case("all 127", filled(127, (2, 3, 5)), filled(127, (4, 5))),
     linear_case("all -127", filled(-127, (1, 2, 5)), filled(-127, (2, 5))),
     linear_case("zero weights", made_up(0, (2, 3, 4)), filled(0, (3, 4))),
     linear_case("one cloud of seven points", made_up(1, (1, 7, 3)), made_up(2, (4, 3))),
     linear_case("three clouds of one point", made_up(3, (3, 1, 4)), made_up(4, (2, 4))),
     linear_case("two clouds of five points, 6 to 9", made_up(5, (2, 5, 6)), made_up(6, (9, 6)))])


def max_over_points_of(inputs, parameters):
    return {"result": max_over_points(int32(inputs["x"])).tolist()}


def differs(reduce):
    """The predicate of a maximum taken by `reduce`, an array (N, P, C) to an (N, C)."""
    return lambda i, p, e: np.any(reduce(np.array(i["x"])) != e["result"])


def of_largest_magnitude(x):
    return np.where(-x.min(axis=1) > x.max(axis=1), x.min(axis=1), x.max(axis=1))


MAX_OVER_POINTS = Op(
    "The largest int32 accumulator of each channel over the points: (N, P, C) to (N, C).",
    max_over_points_of,
    {"ZeroStart": Flag("The maximum starts from 0, so that it is never negative.",
                       lambda i, p, e: has_negative(e["result"])),
     "LargestMagnitude": Flag("The element of largest magnitude is taken.", differs(of_largest_magnitude)),
     "OverChannels": Flag("The maximum over the channels is taken, and counted on as if it were over the points.",
                          lambda i, p, e: np.shape(i["x"])[1:] == (len(i["x"][0]),) * 2 and
                          np.any(np.array(i["x"]).max(axis=2) != e["result"])),
     "OverTheBatch": Flag("The maximum is taken over all clouds of the batch.", differs(
         lambda x: np.broadcast_to(x.max(axis=(0, 1)), (len(x), x.shape[2])))),
     "LastPointDropped": Flag("The last point is left out.", lambda i, p, e: len(i["x"][0]) > 1 and differs(
         lambda x: x[:, :-1].max(axis=1))(i, p, e)),
     "NarrowedFirst": Flag("The accumulator is cut to 16 bits before it is compared.",
                           lambda i, p, e: beyond(i["x"], 2**15))},
    [Case("one point", {"x": [[[5, -6]]]}),
     Case("the maximum at each of three points", {"x": [[[9, 1, 2], [0, 8, 3], [1, 2, 7]]]}),
     Case("all negative", {"x": [[[-5, -7], [-6, -2]]]}),
     Case("equal values", {"x": filled(-3, (2, 3, 2))}),
     Case("the largest magnitude is negative", {"x": [[[-100, 4], [3, -100]]]}),
     Case("two clouds", {"x": [[[1, 2], [3, 4]], [[-1, 9], [-5, 0]]]}),
     Case("accumulators", {"x": scaled(made_up(7, (3, 5, 4)), 4093)}),
     Case("32-bit extremes", {"x": [[[-2**31 + 1, 2**31 - 1], [2**16, -2**16]]]})])


def point_block_of(inputs, parameters):
    block = layers_from(parameters["layers"])
    x, weight = quantised(inputs["x"]), quantised(inputs["weight"])
    seen = []
    result = layers.forward_block(block, {block[0].name: weight}, x, lambda op, name, value: seen.append(value))
    stages = seen[:-1]
    return {"accumulator": stages[0].tolist(), "after": [stage.tolist() for stage in stages[1:]],
            "maximum": arith.max_abs(stages[-1]), "shift": arith.requantise_shift(stages[-1]), **listed(result)}


def block_case(comment, block, x, weight, *flags, exponents=(-7, -6)):
    inputs = {"x": {"data": x, "exponent": exponents[0]}, "weight": {"data": weight, "exponent": exponents[1]}}
    return Case(comment, inputs, {"layers": described(block)}, flags)


POINT_BLOCK = Op(
    "A block of points: the shared layer, the maximum over the points in the last such block, ReLU, and one "
    "requantisation, whose maximum is that of what is left. `after` has the result of each layer behind the first.",
    point_block_of,
    {"RequantisedFirst": Flag("The accumulator is requantised before the maximum and ReLU."),
     "MaximumOfEachCloud": Flag("Each cloud of the batch has its own maximum and shift."),
     "ReluMissing": Flag("ReLU is left out.")},
    [block_case("inner: a large negative accumulator does not survive ReLU", (PointLinear("mlp", 1, 2), ReLU()),
                [[[100], [50]]], [[-127], [1]], "RequantisedFirst", "ReluMissing"),
     block_case("inner, two clouds", (PointLinear("mlp", 3, 4), ReLU()), made_up(8, (2, 5, 3)), made_up(9, (4, 3)),
                "RequantisedFirst", "MaximumOfEachCloud", "ReluMissing"),
     block_case("pooled: the largest magnitude is below the maximum",
                (PointLinear("mlp", 1, 1), MaxOverPoints(), ReLU()), [[[-127], [3]]], [[127]], "RequantisedFirst"),
     block_case("pooled, no channel survives", (PointLinear("mlp", 1, 2), MaxOverPoints(), ReLU()), [[[1], [2]]],
                [[-3], [-4]], "ReluMissing"),
     block_case("pooled, a large cloud and a small one", (PointLinear("mlp", 4, 6), MaxOverPoints(), ReLU()),
                made_up(10, (1, 3, 4)) + made_up(12, (1, 3, 4), 9), made_up(11, (6, 4)),
                "RequantisedFirst", "MaximumOfEachCloud")])


OPS = {"decode_points": DECODE_POINTS, "point_linear": POINT_LINEAR, "max_over_points": MAX_OVER_POINTS,
       "point_block": POINT_BLOCK}
