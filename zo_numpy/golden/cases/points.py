"""Golden cases of PointNet's layers: points decoded, the shared linear layer, the maximum over the points, a block."""
import numpy as np

from ...clouds import quantised_clouds
from ...int8 import layers, points
from ...models import MaxOverPoints, PointLinear, ReLU
from ...shapes import max_over_points
from .common import INT16, Case, Op, block_case, block_of, filled, int8, int32, integers, made_up, scaled


def float32(numbers):
    return np.array(numbers, np.float32)


def coordinates(bits):
    """IEEE 754 bit patterns as the float32 numbers they stand for."""
    return integers(bits, np.int64, 0, 2**32 - 1).astype(np.uint32).view(np.float32)


def _decode_points_of(inputs, parameters):
    return {"data": quantised_clouds(coordinates(inputs["bits"])).tolist()}


def _decode_case(comment, *values):
    return Case(comment, {"bits": np.float32(values).view(np.uint32).tolist()})


DECODE_POINTS = Op(
    "A coordinate, a float32 given by its bit pattern, as it is decoded before training: 127 x to the nearest "
    "integer, half away from zero, clipped to +-127. The product is exact: 31 bits suffice.",
    _decode_points_of,
    {"Truncated": "Fractions are dropped.",
     "FloorOfNegative": "floor(127 x + 1/2), which rounds a negative half up.",
     "NotClipped": "127 x that rounds to more than 127 is kept, or wraps.",
     "Scale128": "128 x is taken."},
    [_decode_case("zero, of both signs", 0.0, -0.0),
     _decode_case("one", 1.0, -1.0),
     _decode_case("the only halves", 0.5, -0.5),
     _decode_case("beside the halves", *np.nextafter(float32([0.5, 0.5, -0.5, -0.5]), float32([0, 1, 0, -1]))),
     _decode_case("halves of other integers, as near as a float32 comes",
                 *(np.float32(k + 0.5) / 127 for k in range(6))),
     _decode_case("their neighbours",
                 *np.nextafter(float32([0.5 / 127, -2.5 / 127, 99.5 / 127]), float32([1, -1, 1]))),
     _decode_case("multiples of 1 / 127", *(k / 127 for k in (-126, -64, -1, 1, 63, 126))),
     _decode_case("a little beyond the sphere", 1.001, -1.001, 1.004, -1.004),
     _decode_case("very small", 1e-30, -1e-30, 1e-45)])


def _point_linear_of(inputs, parameters):
    return {"accumulator": points.point_linear(int8(inputs["x"]), int8(inputs["weight"])).tolist()}


POINT_LINEAR = Op(
    "A linear layer that all points share: x (N, P, C) int8, weight (C_out, C) int8, accumulator (N, P, C_out) "
    "int32.",
    _point_linear_of,
    {"FirstPointOnly": "Every point gets the result of its cloud's first one.",
     "FirstCloudOnly": "Every cloud gets the first one's result.",
     "ChannelsFirst": "The result is written as (N, C_out, P).",
     "Int16Accumulator": INT16,
     "UnsignedActivations": "x is read as unsigned bytes."},
    [Case(comment, {"x": x, "weight": weight}) for comment, x, weight in (
        ("one point, one weight", [[[127]]], [[-127]]),
        ("three coordinates", [[[1, 2, 3], [-4, 5, -6]]], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]),
        ("all 127", filled(127, (2, 3, 5)), filled(127, (4, 5))),
        ("all -127", filled(-127, (1, 2, 5)), filled(-127, (2, 5))),
        ("zero weights", made_up(0, (2, 3, 4)), filled(0, (3, 4))),
        ("one cloud of seven points", made_up(1, (1, 7, 3)), made_up(2, (4, 3))),
        ("three clouds of one point", made_up(3, (3, 1, 4)), made_up(4, (2, 4))),
        ("two clouds of five points, 6 to 9", made_up(5, (2, 5, 6)), made_up(6, (9, 6))))])


def _max_over_points_of(inputs, parameters):
    return {"result": max_over_points(int32(inputs["x"])).tolist()}


MAX_OVER_POINTS = Op(
    "The largest int32 accumulator of each channel over the points: (N, P, C) to (N, C).",
    _max_over_points_of,
    {"ZeroStart": "The maximum starts from 0, so that it is never negative.",
     "LargestMagnitude": "The element of largest magnitude is taken.",
     "OverChannels": "The maximum over the channels is taken, and counted on as if it were over the points.",
     "OverTheBatch": "The maximum is taken over all clouds of the batch.",
     "LastPointDropped": "The last point is left out.",
     "NarrowedFirst": "The accumulator is cut to 16 bits before it is compared."},
    [Case("one point", {"x": [[[5, -6]]]}),
     Case("the maximum at each of three points", {"x": [[[9, 1, 2], [0, 8, 3], [1, 2, 7]]]}),
     Case("all negative", {"x": [[[-5, -7], [-6, -2]]]}),
     Case("equal values", {"x": filled(-3, (2, 3, 2))}),
     Case("the largest magnitude is negative", {"x": [[[-100, 4], [3, -100]]]}),
     Case("two clouds", {"x": [[[1, 2], [3, 4]], [[-1, 9], [-5, 0]]]}),
     Case("accumulators", {"x": scaled(made_up(7, (3, 5, 4)), 4093)}),
     Case("32-bit extremes", {"x": [[[-2**31 + 1, 2**31 - 1], [2**16, -2**16]]]})])


POINT_BLOCK = Op(
    "A block of points: the shared layer, the maximum over the points in the last such block, ReLU, and one "
    "requantisation, whose maximum is that of what is left. `after` has the result of each layer behind the first.",
    block_of(layers.forward_block),
    {"RequantisedFirst": "The accumulator is requantised before the maximum and ReLU.",
     "MaximumOfEachCloud": "Each cloud of the batch has its own maximum and shift.",
     "ReluMissing": "ReLU is left out."},
    [block_case(*row, exponents=(-7, -6)) for row in (
        ("inner: a large negative accumulator does not survive ReLU", (PointLinear("mlp", 1, 2), ReLU()),
         [[[100], [50]]], [[-127], [1]]),
        ("inner, two clouds", (PointLinear("mlp", 3, 4), ReLU()), made_up(8, (2, 5, 3)), made_up(9, (4, 3))),
        ("pooled: the largest magnitude is below the maximum", (PointLinear("mlp", 1, 1), MaxOverPoints(), ReLU()),
         [[[-127], [3]]], [[127]]),
        ("pooled, no channel survives", (PointLinear("mlp", 1, 2), MaxOverPoints(), ReLU()), [[[1], [2]]],
         [[-3], [-4]]),
        ("pooled, a large cloud and a small one", (PointLinear("mlp", 4, 6), MaxOverPoints(), ReLU()),
         made_up(10, (1, 3, 4)) + made_up(12, (1, 3, 4), 9), made_up(11, (6, 4))))])


# (comment, layers, x, weight): sums as large as they can be, on both sides of zero.
ENDS = (
    ("inner, all at 127", (PointLinear("mlp", 3, 2), ReLU()), filled(127, (1, 4, 3)), filled(127, (2, 3))),
    ("inner, all at -127: the products are positive", (PointLinear("mlp", 3, 2), ReLU()), filled(-127, (1, 4, 3)),
     filled(-127, (2, 3))),
    ("inner, nothing survives", (PointLinear("mlp", 64, 2), ReLU()), filled(127, (1, 2, 64)), filled(-127, (2, 64))),
    ("inner, the widest that PointNet has", (PointLinear("mlp", 128, 2), ReLU()), filled(127, (2, 2, 128)),
     [[127] * 128, [-127] * 64 + [127] * 64]),
    ("pooled, one point at 127 among some at -127", (PointLinear("mlp", 128, 3), MaxOverPoints(), ReLU()),
     [[[-127] * 128] * 2 + [[127] * 128], [[-127] * 128] * 3], [[127] * 128, [-127] * 128, [1] * 128]),
    ("pooled, all negative", (PointLinear("mlp", 3, 2), MaxOverPoints(), ReLU()), filled(-127, (2, 3, 3)),
     filled(127, (2, 3))),
    ("pooled, a maximum of 16 bits and one of 17", (PointLinear("mlp", 5, 2), MaxOverPoints(), ReLU()),
     [[[127, 127, 127, 127, 0], [0] * 5], [[127] * 5, [0] * 5]], filled(127, (2, 5))))
POINT_BLOCK_ENDS = Op(
    "point_block where coordinates, activations and weights are at the ends of their range, +-127.",
    block_of(layers.forward_block),
    {"Int16Accumulator": INT16,
     "UnsignedActivations": "x is read as unsigned bytes.",
     "RequantisedFirst": "The accumulator is requantised before the maximum and ReLU.",
     "MaximumOfEachCloud": "Each cloud of the batch has its own maximum and shift.",
     "ReluMissing": "ReLU is left out."},
    [block_case(*row, exponents=(-7, -6)) for row in ENDS])


OPS = {"decode_points": DECODE_POINTS, "point_linear": POINT_LINEAR, "max_over_points": MAX_OVER_POINTS,
       "point_block": POINT_BLOCK, "point_block_ends": POINT_BLOCK_ENDS}
