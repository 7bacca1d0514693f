"""Golden cases of the tail's backward pass: the error of the logits, linear layers and ReLU."""
import numpy as np

from ...int8 import arith, tail
from ...int8.loss import base2_logits, exp2_terms
from .common import (Case, Flag, Op, always, any_sum, beyond, class_labels, filled, flat, has_negative, int32, int8,
                     listed, made_up, product_sum_beyond_int16, quantised, scaled)
from .shifts import is_tie

INT16 = "The accumulator has 16 bits and wraps."
ONE = 1 << tail.SOFTMAX_BITS


def softmax_error_of(inputs, parameters):
    logits = quantised(inputs["logits"])
    labels = class_labels(inputs["labels"], logits)
    terms = exp2_terms(base2_logits(logits))
    totals = terms.sum(axis=1, keepdims=True)
    softmax = (terms << tail.SOFTMAX_BITS) // totals
    accumulator = (softmax - ONE * (np.arange(terms.shape[1]) == labels[:, None])).astype(np.int32)
    return {"terms": terms.tolist(), "totals": totals.ravel().tolist(), "softmax": softmax.tolist(),
            "accumulator": accumulator.tolist(), "maximum": arith.max_abs(accumulator),
            "shift": arith.requantise_shift(accumulator), **listed(tail.softmax_error(logits, labels))}


def error_case(comment, data, exponent, labels, *flags):
    return Case(comment, {"logits": {"data": data, "exponent": exponent}, "labels": labels}, {}, flags)


def remainders(expected):
    return [(term << tail.SOFTMAX_BITS) % total * 2 - total
            for row, total in zip(expected["terms"], expected["totals"]) for term in row]


SOFTMAX_ERROR = Op(
    "The error of the logits: softmax = (exp2_terms << 15) / their sum, rounded down; accumulator = softmax "
    "- 2^15 at the label; requantised from the exponent -15, with one maximum for the whole batch.",
    softmax_error_of,
    {"OneHotSign": Flag("The error is one-hot minus softmax.", lambda i, p, e: e["maximum"] > 0),
     "OneHotMissing": Flag("The softmax itself is passed back.", always),
     "OneHotBelowOne": Flag("One-hot is 2^15 - 1, the largest 16-bit number.", always),
     "LabelFromOne": Flag("Labels are taken to count from 1.", lambda i, p, e: len(e["softmax"][0]) > 1),
     "DivisionRounded": Flag("The softmax is rounded to nearest.",
                             lambda i, p, e: any(rest >= 0 for rest in remainders(e))),
     "DividedFirst": Flag("Terms are divided before they are shifted, which leaves 0 or 1.",
                          lambda i, p, e: any(v % ONE for v in flat(e["softmax"]))),
     "MeanOverBatch": Flag("The error is divided by the batch size.",
                           lambda i, p, e: len(i["labels"]) > 1 and e["maximum"] > 0),
     "MaximumOfEachSample": Flag("Each sample has its own maximum and shift."),
     "FloorNotTruncate": Flag("Requantisation rounds the signed value: negative ties go up.",
                              lambda i, p, e: any(
                                  v < 0 and is_tie(v, e["shift"]) for v in flat(e["accumulator"])))},
    [error_case(f"exponent {exponent}", [[-127, 0, 60, 127], [1, -1, 2, -64], [100, 100, -100, 99]], exponent,
                [2, 1, 3], *(["MaximumOfEachSample"] if -2 <= exponent <= 3 else []))
     for exponent in (-40, -22, -12, *range(-9, 4), 9, 20, 21, 40)]
    + [error_case("one class", [[7]], -3, [0]),
       error_case("certain and right: zeros", [[127, -127], [-127, 127]], 5, [0, 1]),
       error_case("certain and wrong: +-1", [[127, -127]], 5, [1]),
       error_case("one right, one wrong", [[127, -127], [127, -127]], 3, [0, 1], "MaximumOfEachSample"),
       error_case("three equal logits", [[9, 9, 9]], -4, [2]),
       error_case("ten equal logits", [[0] * 10], -4, [0]),
       error_case("small errors: the batch is nearly learnt", [[127, 3, 0], [1, 127, 2], [0, 5, 127]], -4,
                  [0, 1, 2]),
       error_case("a negative tie in the requantisation", [[-18, -3, -10]], -3, [0]),
       error_case("another, at an even quotient", [[-18, 13, -11]], -3, [1]),
       error_case("batch 5, ten classes", made_up(0, (5, 10)), -5, [3, 1, 4, 1, 5])])


# Products.

def gradient_of(inputs, parameters):
    return {"accumulator": tail.linear_gradient(int8(inputs["error"]), int8(inputs["x"])).tolist()}


def not_constant(inputs, parameters, expected):
    shape = np.shape(expected["accumulator"])
    return min(shape) > 1 and len(set(flat(expected["accumulator"]))) > 1


LINEAR_GRADIENT = Op(
    "The gradient of a linear layer's weights, summed over the batch: error (N, out) int8, x (N, in) int8, "
    "the layer's input; accumulator[o][i] = sum over n of error[n][o] * x[n][i], (out, in) int32.",
    gradient_of,
    {"GradientTransposed": Flag("The result is written as (in, out).", not_constant),
     "MeanOverBatch": Flag("The sum is divided by the batch size.",
                           lambda i, p, e: len(i["x"]) > 1 and any_sum(i, p, e)),
     "LastSampleOnly": Flag("The gradient is overwritten by each sample instead of added to.",
                            lambda i, p, e: any(flat(i["x"][:-1])) and any(flat(i["error"][:-1]))),
     "SignInverted": Flag("The gradient has the opposite sign.", any_sum),
     "Int16Accumulator": Flag(INT16, product_sum_beyond_int16),
     "UnsignedError": Flag("The error is read as unsigned bytes.",
                           lambda i, p, e: has_negative(i["error"]) and any(flat(i["x"])))},
    [Case(comment, {"error": error, "x": x}) for comment, error, x in (
        ("one number", [[-127]], [[127]]),
        ("batch 1, 3 by 4", made_up(1, (1, 3)), np.abs(made_up(2, (1, 4))).tolist()),
        ("batch 5, 4 by 7", made_up(3, (5, 4)), np.abs(made_up(4, (5, 7))).tolist()),
        ("batch 3, square", made_up(5, (3, 4)), made_up(6, (3, 4))),
        ("all 127", filled(127, (3, 2)), filled(127, (3, 3))),
        ("all -127 by 127", filled(-127, (6, 2)), filled(127, (6, 3))),
        ("batch 2, one input", made_up(7, (2, 5)), [[127], [64]]),
        ("zero error", filled(0, (2, 3)), made_up(8, (2, 2))),
        ("inputs that ReLU switched off", made_up(9, (2, 3)), filled(0, (2, 3))),
        ("samples that cancel", [[5, -5], [-5, 5]], [[3, 100], [3, 100]]))])


def backward_of(inputs, parameters):
    return {"accumulator": tail.linear_backward(int8(inputs["error"]), int8(inputs["weight"])).tolist()}


LINEAR_BACKWARD = Op(
    "The error passed back through a linear layer: error (N, out) int8, weight (out, in) int8 as it was in "
    "the forward pass; accumulator[n][i] = sum over o of error[n][o] * weight[o][i], (N, in) int32.",
    backward_of,
    {"WeightTransposed": Flag("The weight's memory is read as (in, out).", lambda i, p, e: any_sum(
        i, p, e) and min(np.shape(i["weight"])) > 1 and len(set(flat(i["weight"]))) > 1),
     "OutputTransposed": Flag("The result is written as (in, N).", not_constant),
     "FirstOutputOnly": Flag("Only the first output's error is passed back.", lambda i, p, e: any(
         any(row[1:]) for row in i["error"]) and any(flat(i["weight"]))),
     "Int16Accumulator": Flag(INT16, product_sum_beyond_int16),
     "UnsignedError": Flag("The error is read as unsigned bytes.",
                           lambda i, p, e: has_negative(i["error"]) and any(flat(i["weight"])))},
    [Case(comment, {"error": error, "weight": weight}) for comment, error, weight in (
        ("one number", [[-127]], [[-127]]),
        ("batch 1, 3 to 4", made_up(10, (1, 3)), made_up(11, (3, 4))),
        ("batch 3, 5 to 2", made_up(12, (3, 5)), made_up(13, (5, 2))),
        ("square", made_up(14, (2, 4)), made_up(15, (4, 4))),
        ("all 127", filled(127, (2, 3)), filled(127, (3, 5))),
        ("all -127", filled(-127, (2, 10)), filled(-127, (10, 3))),
        ("zero error", filled(0, (2, 3)), made_up(16, (3, 3))),
        ("zero weights", made_up(17, (2, 3)), filled(0, (3, 4))),
        ("one output", [[100], [-3]], [[5, -6, 7]]))])


def relu_backward_of(inputs, parameters):
    return {"result": tail.relu_backward(int32(inputs["error"]), int8(inputs["x"])).tolist()}


def pair(bug):
    """The predicate of a bug in one element: bug(error, x)."""
    return lambda i, p, e: any(bug(error, x) for error, x in zip(flat(i["error"]), flat(i["x"])))


RELU_BACKWARD = Op(
    "The error (N, features) int32 behind a ReLU: kept where x, the int8 activation the ReLU gave, is above "
    "0, else 0.",
    relu_backward_of,
    {"MaskGreaterEqual": Flag("The error is kept also where x is 0.",
                              pair(lambda error, x: error and x == 0)),
     "MaskInverted": Flag("The error is kept where x is 0 and dropped elsewhere.",
                          pair(lambda error, x: error != 0)),
     "MaskOfError": Flag("The error is kept where it is itself above 0.", pair(
         lambda error, x: error and (error > 0) != (x > 0))),
     "ScaledByActivation": Flag("The error is multiplied by x.", pair(lambda error, x: error and x > 1)),
     "NarrowedFirst": Flag("The error is cut to 16 bits.", lambda i, p, e: beyond(e["result"], 2**15))},
    [Case(comment, {"error": error, "x": x}) for comment, error, x in (
        ("all on", [[5, -7, 0]], [[1, 1, 1]]),
        ("all off", [[5, -7, 0]], [[0, 0, 0]]),
        ("positive errors on, negative off", [[5, -7]], [[1, 0]]),
        ("the largest activations", [[5, -7], [300, -300]], [[127, 127], [127, 0]]),
        ("zero errors", [[0, 0]], [[0, 127]]),
        ("beyond 16 bits", [[70000, -70000]], [[1, 1]]),
        ("beyond 16 bits, off", [[70000, -70000]], [[0, 0]]),
        ("batch 3", scaled(made_up(18, (3, 4)), 77), [[0, 1, 127, 0], [3, 0, 0, 9], [0, 0, 5, 1]]))])


OPS = {"softmax_error": SOFTMAX_ERROR, "linear_gradient": LINEAR_GRADIENT, "linear_backward": LINEAR_BACKWARD,
       "relu_backward": RELU_BACKWARD}
