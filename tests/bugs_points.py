"""Ports with one bug each in PointNet's layers: BUGS[op][flag], see bugs.py."""
import math
from fractions import Fraction

import numpy as np

from bugs_arith import of_each_sample
from bugs_common import INT16_ACCUMULATOR, answering, cut_to_16_bits, misread, unsigned, using, wrapped
from bugs_layers import requantised_first
from twin_ops import coordinate
from twins import clip, mapped, point_linear as right_point_linear


def decoded(rule):
    """The bug of a port that decodes a coordinate, an exact fraction, by rule(x)."""
    return answering(data=lambda i, p, right: [rule(coordinate(bits)) for bits in i["bits"]])


def nearest(x, scale):
    """scale * x to the nearest integer, half away from zero."""
    magnitude = math.floor(abs(x) * scale + Fraction(1, 2))
    return magnitude if x >= 0 else -magnitude


DECODE_POINTS = {
    "Truncated": decoded(lambda x: clip(math.trunc(127 * x), 127)),
    "FloorOfNegative": decoded(lambda x: clip(math.floor(127 * x + Fraction(1, 2)), 127)),
    "NotClipped": decoded(lambda x: nearest(x, 127)),
    "Scale128": decoded(lambda x: clip(nearest(x, 128), 127))}

POINT_LINEAR = {
    "FirstPointOnly": answering(accumulator=lambda i, p, right: [
        [cloud[0]] * len(cloud) for cloud in right["accumulator"]]),
    "FirstCloudOnly": answering(accumulator=lambda i, p, right: [right["accumulator"][0]] * len(i["x"])),
    "ChannelsFirst": answering(accumulator=lambda i, p, right: np.array(right["accumulator"]).transpose(
        0, 2, 1).reshape(np.shape(right["accumulator"])).tolist()),
    "Int16Accumulator": INT16_ACCUMULATOR,
    "UnsignedActivations": unsigned("x")}


def over(choose):
    """A maximum in which choose(all values of a channel of a cloud) stands for max."""
    return using(max_over_points=lambda x: [[choose(column) for column in zip(*cloud)] for cloud in x])


def over_channels(twin, i, p):
    square = all(len(cloud) == len(row) for cloud in i["x"] for row in cloud)
    return {"result": [[max(row) for row in cloud] for cloud in i["x"]]} if square else twin(i, p)


MAX_OVER_POINTS = {
    "ZeroStart": over(lambda values: max(0, *values)),
    "LargestMagnitude": over(lambda values: max(values, key=lambda v: (abs(v), v))),
    "OverChannels": over_channels,
    "OverTheBatch": answering(result=lambda i, p, right: [
        [max(column) for column in zip(*right["result"])]] * len(i["x"])),
    "LastPointDropped": misread(lambda i: {"x": [cloud[:-1] or cloud for cloud in i["x"]]}),
    "NarrowedFirst": cut_to_16_bits("x")}

POINT_BLOCK = {
    "RequantisedFirst": requantised_first,
    "MaximumOfEachCloud": using(requantise=of_each_sample),
    "ReluMissing": using(relu=lambda x: x)}

POINT_BLOCK_ENDS = {
    **POINT_BLOCK,
    "Int16Accumulator": using(point_linear=lambda x, weight: mapped(lambda v: wrapped(v, 16),
                                                                    right_point_linear(x, weight))),
    "UnsignedActivations": misread(lambda i: {"x": {**i["x"], "data": mapped(lambda v: v % 256, i["x"]["data"])}})}

BUGS = {"decode_points": DECODE_POINTS, "point_linear": POINT_LINEAR, "max_over_points": MAX_OVER_POINTS,
        "point_block": POINT_BLOCK, "point_block_ends": POINT_BLOCK_ENDS}
