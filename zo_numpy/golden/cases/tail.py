"""Golden cases of the tail: its error, the backward pass, the update, and all of it."""
import numpy as np

from ... import models
from ...int8 import arith, tail
from ...int8.arith import QTensor
from ...int8.layers import forward
from ...int8.loss import base2_logits, exp2_terms
from ...int8.variants import add_steps
from ...models import Linear, ReLU
from ...run.network import described
from .common import (INT16, Case, Op, class_labels, filled, int8, int32, layers_from, listed, logits_case,
                     made_up, quantised, scaled)

ONE = 1 << tail.SOFTMAX_BITS


def _softmax_error_of(inputs, parameters):
    logits = quantised(inputs["logits"])
    labels = class_labels(inputs["labels"], logits)
    terms = exp2_terms(base2_logits(logits))
    totals = terms.sum(axis=1, keepdims=True)
    softmax = (terms << tail.SOFTMAX_BITS) // totals
    accumulator = (softmax - ONE * (np.arange(terms.shape[1]) == labels[:, None])).astype(np.int32)
    return {"terms": terms.tolist(), "totals": totals.ravel().tolist(), "softmax": softmax.tolist(),
            "accumulator": accumulator.tolist(), "maximum": arith.max_abs(accumulator),
            "shift": arith.requantise_shift(accumulator), **listed(tail.softmax_error(logits, labels))}


SOFTMAX_ERROR = Op(
    "The error of the logits: softmax = (exp2_terms << 15) / their sum, rounded down; accumulator = softmax - 2^15 "
    "at the label; requantised from the exponent -15, with one maximum for the whole batch.",
    _softmax_error_of,
    {"OneHotSign": "The error is one-hot minus softmax.",
     "OneHotMissing": "The softmax itself is passed back.",
     "OneHotBelowOne": "One-hot is 2^15 - 1, the largest 16-bit number.",
     "LabelFromOne": "Labels are taken to count from 1.",
     "DivisionRounded": "The softmax is rounded to nearest.",
     "DividedFirst": "Terms are divided before they are shifted, which leaves 0 or 1.",
     "MeanOverBatch": "The error is divided by the batch size.",
     "MaximumOfEachSample": "Each sample has its own maximum and shift.",
     "FloorNotTruncate": "Requantisation rounds the signed value: negative ties go up."},
    [logits_case(f"exponent {exponent}", [[-127, 0, 60, 127], [1, -1, 2, -64], [100, 100, -100, 99]], exponent,
                [2, 1, 3])
     for exponent in (-40, -22, -12, *range(-9, 4), 9, 20, 21, 40)]
    + [logits_case("one class", [[7]], -3, [0]),
       logits_case("certain and right: zeros", [[127, -127], [-127, 127]], 5, [0, 1]),
       logits_case("certain and wrong: +-1", [[127, -127]], 5, [1]),
       logits_case("one right, one wrong", [[127, -127], [127, -127]], 3, [0, 1]),
       logits_case("three equal logits", [[9, 9, 9]], -4, [2]),
       logits_case("ten equal logits", [[0] * 10], -4, [0]),
       logits_case("small errors: the batch is nearly learnt", [[127, 3, 0], [1, 127, 2], [0, 5, 127]], -4, [0, 1, 2]),
       logits_case("a negative tie in the requantisation", [[-18, -3, -10]], -3, [0]),
       logits_case("another, at an even quotient", [[-18, 13, -11]], -3, [1]),
       logits_case("batch 5, ten classes", made_up(0, (5, 10)), -5, [3, 1, 4, 1, 5])])


# Products.

def _gradient_of(inputs, parameters):
    return {"accumulator": tail.linear_gradient(int8(inputs["error"]), int8(inputs["x"])).tolist()}


LINEAR_GRADIENT = Op(
    "The gradient of a linear layer's weights, summed over the batch: error (N, out) int8, x (N, in) int8, the "
    "layer's input; accumulator[o][i] = sum over n of error[n][o] * x[n][i], (out, in) int32.",
    _gradient_of,
    {"GradientTransposed": "The result is written as (in, out).",
     "MeanOverBatch": "The sum is divided by the batch size.",
     "LastSampleOnly": "The gradient is overwritten by each sample instead of added to.",
     "SignInverted": "The gradient has the opposite sign.",
     "Int16Accumulator": INT16,
     "UnsignedError": "The error is read as unsigned bytes."},
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


def _backward_of(inputs, parameters):
    return {"accumulator": tail.linear_backward(int8(inputs["error"]), int8(inputs["weight"])).tolist()}


LINEAR_BACKWARD = Op(
    "The error passed back through a linear layer: error (N, out) int8, weight (out, in) int8 as it was in the "
    "forward pass; accumulator[n][i] = sum over o of error[n][o] * weight[o][i], (N, in) int32.",
    _backward_of,
    {"WeightTransposed": "The weight's memory is read as (in, out).",
     "OutputTransposed": "The result is written as (in, N).",
     "FirstOutputOnly": "Only the first output's error is passed back.",
     "Int16Accumulator": INT16,
     "UnsignedError": "The error is read as unsigned bytes."},
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


def _relu_backward_of(inputs, parameters):
    return {"result": tail.relu_backward(int32(inputs["error"]), int8(inputs["x"])).tolist()}


RELU_BACKWARD = Op(
    "The error (N, features) int32 behind a ReLU: kept where x, the int8 activation the ReLU gave, is above 0, "
    "else 0.",
    _relu_backward_of,
    {"MaskGreaterEqual": "The error is kept also where x is 0.",
     "MaskInverted": "The error is kept where x is 0 and dropped elsewhere.",
     "MaskOfError": "The error is kept where it is itself above 0.",
     "ScaledByActivation": "The error is multiplied by x.",
     "NarrowedFirst": "The error is cut to 16 bits."},
    [Case(comment, {"error": error, "x": x}) for comment, error, x in (
        ("all on", [[5, -7, 0]], [[1, 1, 1]]),
        ("all off", [[5, -7, 0]], [[0, 0, 0]]),
        ("positive errors on, negative off", [[5, -7]], [[1, 0]]),
        ("the largest activations", [[5, -7], [300, -300]], [[127, 127], [127, 0]]),
        ("zero errors", [[0, 0]], [[0, 127]]),
        ("beyond 16 bits", [[70000, -70000]], [[1, 1]]),
        ("beyond 16 bits, off", [[70000, -70000]], [[0, 0]]),
        ("batch 3", scaled(made_up(18, (3, 4)), 77), [[0, 1, 127, 0], [3, 0, 0, 9], [0, 0, 5, 1]]))])


def _gradient_step_of(inputs, parameters):
    gradient, b_bp = int32(inputs["gradient"]), parameters["b_bp"]
    maximum = arith.max_abs(gradient)
    return {"maximum": maximum, "shift": max(0, arith.bit_width(maximum) - b_bp),
            "step": tail.gradient_step(gradient, b_bp).tolist()}


def _gradient_case(comment, gradient, b_bp):
    return Case(comment, {"gradient": gradient}, {"b_bp": b_bp})


GRADIENT_STEP = Op(
    "A tail gradient scaled to about b_bp bits: shift = max(0, bit_width(maximum) - b_bp) with the tensor's "
    "largest magnitude, step = pseudo_stochastic_shift(gradient, shift). |step| can be 2^b_bp: it is not an int8.",
    _gradient_step_of,
    {"FloorNotTruncate": "The signed value is shifted and masked in two's complement.",
     "OddShift": "low is not doubled for an odd shift.",
     "RoundedToNearest": "round_shift is used.",
     "WidthAtPowerOfTwo": "The width is ceil(log2(maximum)): one too few at powers of two.",
     "FloatLog2": "The width is read off a 32-bit float, which rounds up just below large powers of two.",
     "ShiftIgnoresBits": "The gradient is always scaled to 7 bits.",
     "NegativeShift": "A small gradient is scaled up to b_bp bits.",
     "WrappedInt8": "The step is stored in an int8: 128 becomes -128.",
     "ClippedToBits": "The step is clipped to +-(2^b_bp - 1)."},
    [_gradient_case(f"largest magnitude {largest}, b_bp {b_bp}", [largest, -largest // 2, largest // 3, -1, 0], b_bp)
     for largest in (1, 2, 127, 128, 2**20 - 1, 2**20, 2**25 - 1, 2**30) for b_bp in range(1, 8)]
    + [_gradient_case(f"negative only, b_bp {b_bp}", [[-1000, -999], [-513, -3]], b_bp) for b_bp in range(1, 8)]
    + [_gradient_case(f"every bit set, b_bp {b_bp}: the step is 2^b_bp", [2**(b_bp + 1) - 1, 1], b_bp)
       for b_bp in range(1, 8)]
    + [_gradient_case("zeros", filled(0, (2, 2)), 3),
       _gradient_case("an odd shift", scaled(made_up(0, (4, 5)), 99), 5),
       _gradient_case("an even shift", scaled(made_up(1, (4, 5)), 401), 5),
       _gradient_case("one element", [[-77777]], 1)])


def _update_of(inputs, parameters):
    weights = {"w": QTensor(int8(inputs["weight"]), 0)}
    steps = [{"w": tail.gradient_step(int32(gradient), parameters["b_bp"])} for gradient in inputs["gradients"]]
    total = steps[0] if len(steps) == 1 else add_steps(*steps)
    tail.update_tail(weights, total)
    return {"steps": [step["w"].tolist() for step in steps], "weight": weights["w"].data.tolist()}


UPDATE_TAIL = Op(
    "A tail weight less its step, clipped to +-127. steps: gradient_step of each gradient; where both forward "
    "passes give one (first the first pass's), both steps are subtracted.",
    _update_of,
    {"UpdateSignInverted": "The step is added.",
     "NoClip": "The difference is not clipped and wraps.",
     "Minus128": "The difference is clipped to -128..127.",
     "StepInInt8": "Each step is stored in an int8: 128 becomes -128.",
     "SumInInt8": "The sum of the two steps is stored in an int8 and wraps.",
     "SummedBeforeShift": "The gradients of the two passes are added before they are scaled.",
     "SecondPassOnly": "The first pass's step is left out."},
    [Case(comment, {"weight": weight, "gradients": gradients}, {"b_bp": b_bp})
     for comment, weight, gradients, b_bp in (
        ("no step", [[5, -127]], [filled(0, (1, 2))], 4),
        ("up and down", [[5, -5], [0, 100]], [[[1, -1], [2, 3]]], 7),
        ("clipped at both ends", [[127, -127, 120, -120]], [[[-9, 9, -8, 8]]], 4),
        ("just reaching the ends", [[120, -120]], [[[-7, 7]]], 4),
        ("one beyond the ends", [[120, -120]], [[[-8, 8]]], 4),
        ("scaled to one bit", [[10, 20, 30]], [[[1000, -600, 3]]], 1),
        ("a step of 128", [[127, -127, 1]], [[[255, -255, 254]]], 7),
        ("both passes", [[10, 20, 30]], [[[100, -60, 3]], [[90, 60, -7]]], 3),
        ("both passes cancel", [[10, 20]], [[[100, -60]], [[-100, 60]]], 3),
        ("both passes, of very different size", [[10, 20]], [[[100000, -60000]], [[3, 2]]], 2),
        ("both passes add up to more than an int8", [[127, -127, 0]],
         [[[200, -200, 200]], [[180, -180, 180]]], 7),
        ("a matrix", made_up(2, (3, 4)), [scaled(made_up(3, (3, 4)), 55)], 5))])


# The whole tail.

def _tail_step_of(inputs, parameters):
    layers = layers_from(parameters["layers"])
    linears = models.weight_layers(layers)
    weights = {layer.name: quantised(weight) for layer, weight in zip(linears, inputs["weights"], strict=True)}
    xs = []
    logits = forward(layers, weights, quantised(inputs["x"]), xs)
    errors = []
    gradients = tail.tail_gradients(
        layers, weights, logits, xs, class_labels(inputs["labels"], logits),
        lambda op, name, value: errors.append(listed(value)) if isinstance(value, QTensor) else None)
    gradients = {name: gradient.data for name, gradient in gradients.items()}
    steps = {name: tail.gradient_step(gradient, parameters["b_bp"]) for name, gradient in gradients.items()}
    tail.update_tail(weights, steps)
    return {"xs": [listed(x) for x in xs], "logits": listed(logits), "errors": errors,
            "gradients": [gradient.tolist() for gradient in gradients.values()],
            "steps": [step.tolist() for step in steps.values()],
            "weights": [weight.data.tolist() for weight in weights.values()]}


def _tail_case(comment, widths, batch, number, labels=(0, 1, 2), b_bp=4, bare=()):
    """bare: the layers, from 0, that have no ReLU before them."""
    layers, weights = [], []
    for i, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
        layers += [ReLU()] * (i > 0 and i not in bare) + [Linear(f"fc{i + 1}", n_in, n_out)]
        weights.append({"data": made_up(number + i, (n_out, n_in), 63), "exponent": -7 - i})
    x = np.maximum(made_up(number + 9, (batch, widths[0])), 0).tolist()
    return Case(comment, {"x": {"data": x, "exponent": -6}, "weights": weights, "labels": list(labels[:batch])},
                {"layers": described(layers), "b_bp": b_bp})


TAIL_STEP = Op(
    "Forward, backward and update of a tail of linear layers with ReLU between them. xs: the int8 input of each "
    "linear layer; errors, gradients and steps come last layer first (errors[0] is softmax_error, errors[k] what "
    "remains after linear_backward, relu_backward and requantise through k layers); weights after the update, "
    "first layer first. No error is passed back through the first layer of the tail.",
    _tail_step_of,
    {"UpdateBeforeError": "A layer is updated before the error passes through it.",
     "UpdateSignInverted": "The steps are added.",
     "OneHotSign": "The error is one-hot minus softmax.",
     "ReluMaskMissing": "The error is not masked by the ReLU.",
     "RequantisedBeforeMask": "The error is requantised before it is masked.",
     "ErrorNotRequantised": "The error's int32 is cut to its low 8 bits.",
     "ErrorExponentForgotten": "The exponent of the weights is not added to the error's."},
    [_tail_case("one layer, batch 1", (5, 3), 1, 100),
     _tail_case("one layer, batch 3", (6, 4), 3, 110),
     _tail_case("two layers, batch 1", (5, 4, 3), 1, 120),
     _tail_case("two layers, batch 3, b_bp 1", (5, 6, 3), 3, 130, b_bp=1),
     _tail_case("two layers, batch 2, b_bp 7", (4, 5, 4), 2, 140, b_bp=7),
     _tail_case("three layers, batch 3", (7, 6, 5, 3), 3, 170)])


TAIL_STEP_128 = Op(
    "tail_step where a step is 2^b_bp = 128 in magnitude, one more than an int8 holds.",
    _tail_step_of,
    {"StepInInt8": "Steps are stored in an int8: 128 becomes -128.",
     "ClippedTo127": "Steps are clipped to +-127.",
     "UpdateSignInverted": "The steps are added."},
    [_tail_case(f"{step} in {layer} of {widths}", widths, batch, number, b_bp=7)
     for step, layer, widths, batch, number in (
        (-128, "fc1", (5, 3), 1, 1117), (128, "fc1", (6, 5, 4, 3), 3, 1013), (-128, "fc1", (6, 5, 4, 3), 3, 1752),
        (128, "fc2", (6, 5, 4, 3), 3, 1567), (-128, "fc2", (6, 5, 4, 3), 3, 1121),
        (128, "fc3", (6, 5, 4, 3), 3, 1465), (-128, "fc3", (6, 5, 4, 3), 3, 1089))])


TAIL_STEP_BARE = Op(
    "tail_step of a tail in which a linear layer follows another with no ReLU between them: there its input may be "
    "negative, and no error is masked (errors: linear_backward and requantise alone).",
    _tail_step_of,
    {"ReluMaskAlways": "The error is masked where the layer's input is not above 0, without a ReLU too.",
     "ReluMaskOutside": "The error is masked where the ReLU let its input through."},
    [_tail_case("two layers, batch 1", (5, 4, 3), 1, 320, bare=(1,)),
     _tail_case("two layers, batch 3, b_bp 7", (5, 6, 3), 3, 330, b_bp=7, bare=(1,)),
     _tail_case("three layers, no ReLU at all, batch 2", (6, 5, 4, 3), 2, 340, bare=(1, 2)),
     _tail_case("three layers, a ReLU below the last, batch 3", (7, 6, 5, 3), 3, 350, bare=(1,)),
     _tail_case("three layers, a ReLU above the first, batch 3, b_bp 1", (7, 6, 5, 3), 3, 360, b_bp=1, bare=(2,))])


OPS = {"softmax_error": SOFTMAX_ERROR, "linear_gradient": LINEAR_GRADIENT, "linear_backward": LINEAR_BACKWARD,
       "relu_backward": RELU_BACKWARD, "gradient_step": GRADIENT_STEP, "update_tail": UPDATE_TAIL,
       "tail_step": TAIL_STEP, "tail_step_128": TAIL_STEP_128, "tail_step_bare": TAIL_STEP_BARE}
