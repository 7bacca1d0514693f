"""Golden cases of the tail's update: a gradient scaled to few bits, weights changed by it, a whole tail."""
import numpy as np

from ... import models
from ...int8 import arith, tail
from ...int8.arith import QTensor
from ...int8.layers import forward
from ...int8.variants import add_steps
from ...models import Linear, ReLU
from .common import (Case, Flag, Op, always, beyond, class_labels, described, filled, flat, int32, int8, layers_from,
                     listed, made_up, quantised, scaled)
from .shifts import float32, halves, rounds_up, rounds_up_in_twos_complement, split


def gradient_step_of(inputs, parameters):
    gradient, b_bp = int32(inputs["gradient"]), parameters["b_bp"]
    maximum = arith.max_abs(gradient)
    return {"maximum": maximum, "shift": max(0, arith.bit_width(maximum) - b_bp),
            "step": tail.gradient_step(gradient, b_bp).tolist()}


def any_gradient(bug):
    """The predicate of a bug in one element: bug(value, shift)."""
    return lambda i, p, e: any(bug(v, e["shift"]) for v in flat(i["gradient"]))


def power_of_two(value):
    return value > 0 and value & (value - 1) == 0


def gradient_case(comment, gradient, b_bp, *flags):
    return Case(comment, {"gradient": gradient}, {"b_bp": b_bp}, flags)


GRADIENT_STEP = Op(
    "A tail gradient scaled to about b_bp bits: shift = max(0, bit_width(maximum) - b_bp) with the tensor's "
    "largest magnitude, step = pseudo_stochastic_shift(gradient, shift). |step| can be 2^b_bp: it is not an "
    "int8.",
    gradient_step_of,
    {"FloorNotTruncate": Flag("The signed value is shifted and masked in two's complement.", any_gradient(
        lambda v, s: v < 0 and rounds_up_in_twos_complement(v, s) != split(v, s)[0] + rounds_up(v, s))),
     "OddShift": Flag("low is not doubled for an odd shift.", any_gradient(
         lambda v, s: s % 2 == 1 and (halves(v, s)[0] > halves(v, s)[1]) != rounds_up(v, s))),
     "RoundedToNearest": Flag("round_shift is used.", any_gradient(
         lambda v, s: s > 0 and rounds_up(v, s) != (split(v, s)[1] >= 1 << (s - 1)))),
     "WidthAtPowerOfTwo": Flag("The width is ceil(log2(maximum)): one too few at powers of two.",
                               lambda i, p, e: power_of_two(e["maximum"]) and e["shift"] > 0),
     "FloatLog2": Flag("The width is read off a 32-bit float, which rounds up just below large powers of "
                       "two.",
                       lambda i, p, e: float32(e["maximum"]).bit_length() != e["maximum"].bit_length()),
     "ShiftIgnoresBits": Flag("The gradient is always scaled to 7 bits.",
                              lambda i, p, e: e["shift"] != max(0, e["maximum"].bit_length() - 7)),
     "NegativeShift": Flag("A small gradient is scaled up to b_bp bits.",
                           lambda i, p, e: 0 < e["maximum"] < 1 << (p["b_bp"] - 1)),
     "WrappedInt8": Flag("The step is stored in an int8: 128 becomes -128.",
                         lambda i, p, e: max(flat(e["step"])) > 127),
     "ClippedToBits": Flag("The step is clipped to +-(2^b_bp - 1).",
                           lambda i, p, e: beyond(e["step"], 2**p["b_bp"] - 1))},
    [gradient_case(f"largest magnitude {largest}, b_bp {b_bp}", [largest, -largest // 2, largest // 3, -1, 0],
                   b_bp)
     for largest in (1, 2, 127, 128, 2**20 - 1, 2**20, 2**25 - 1, 2**30) for b_bp in range(1, 8)]
    + [gradient_case(f"negative only, b_bp {b_bp}", [[-1000, -999], [-513, -3]], b_bp)
       for b_bp in range(1, 8)]
    + [gradient_case(f"every bit set, b_bp {b_bp}: the step is 2^b_bp", [2**(b_bp + 1) - 1, 1], b_bp)
       for b_bp in range(1, 8)]
    + [gradient_case("zeros", filled(0, (2, 2)), 3),
       gradient_case("an odd shift", scaled(made_up(0, (4, 5)), 99), 5),
       gradient_case("an even shift", scaled(made_up(1, (4, 5)), 401), 5),
       gradient_case("one element", [[-77777]], 1)])


def update_of(inputs, parameters):
    weights = {"w": QTensor(int8(inputs["weight"]), 0)}
    steps = [{"w": tail.gradient_step(int32(gradient), parameters["b_bp"])}
             for gradient in inputs["gradients"]]
    total = steps[0] if len(steps) == 1 else add_steps(*steps)
    tail.update_tail(weights, total)
    return {"steps": [step["w"].tolist() for step in steps], "weight": weights["w"].data.tolist()}


def both_passes(inputs, parameters, expected):
    return len(inputs["gradients"]) > 1


def update_case(comment, weight, gradients, b_bp, *flags):
    return Case(comment, {"weight": weight, "gradients": gradients}, {"b_bp": b_bp}, flags)


def unclipped(inputs, expected):
    """weight minus the steps, before clipping."""
    return (np.array(inputs["weight"]) - np.sum(expected["steps"], axis=0)).ravel().tolist()


UPDATE_TAIL = Op(
    "A tail weight less its step, clipped to +-127. steps: gradient_step of each gradient; where both "
    "forward passes give one (first the first pass's), both steps are subtracted.",
    update_of,
    {"UpdateSignInverted": Flag("The step is added.", lambda i, p, e: any(
        min(127, max(-127, 2 * w - v)) != n for w, v, n in
        zip(flat(i["weight"]), unclipped(i, e), flat(e["weight"])))),
     "NoClip": Flag("The difference is not clipped and wraps.", lambda i, p, e: beyond(unclipped(i, e), 127)),
     "Minus128": Flag("The difference is clipped to -128..127.", lambda i, p, e: min(unclipped(i, e)) < -127),
     "StepInInt8": Flag("Each step is stored in an int8: 128 becomes -128."),
     "SumInInt8": Flag("The sum of the two steps is stored in an int8 and wraps."),
     "SummedBeforeShift": Flag("The gradients of the two passes are added before they are scaled."),
     "SecondPassOnly": Flag("The first pass's step is left out.", both_passes)},
    [update_case("no step", [[5, -127]], [filled(0, (1, 2))], 4),
     update_case("up and down", [[5, -5], [0, 100]], [[[1, -1], [2, 3]]], 7),
     update_case("clipped at both ends", [[127, -127, 120, -120]], [[[-9, 9, -8, 8]]], 4),
     update_case("just reaching the ends", [[120, -120]], [[[-7, 7]]], 4),
     update_case("one beyond the ends", [[120, -120]], [[[-8, 8]]], 4),
     update_case("scaled to one bit", [[10, 20, 30]], [[[1000, -600, 3]]], 1),
     update_case("a step of 128", [[127, -127, 1]], [[[255, -255, 254]]], 7, "StepInInt8", "SumInInt8"),
     update_case("both passes", [[10, 20, 30]], [[[100, -60, 3]], [[90, 60, -7]]], 3, "SummedBeforeShift"),
     update_case("both passes cancel", [[10, 20]], [[[100, -60]], [[-100, 60]]], 3),
     update_case("both passes, of very different size", [[10, 20]], [[[100000, -60000]], [[3, 2]]], 2,
                 "SummedBeforeShift"),
     update_case("both passes add up to more than an int8", [[127, -127, 0]],
                 [[[200, -200, 200]], [[180, -180, 180]]], 7,
                 "SumInInt8", "SummedBeforeShift"),
     update_case("a matrix", made_up(2, (3, 4)), [scaled(made_up(3, (3, 4)), 55)], 5)])


# The whole tail.

def tail_step_of(inputs, parameters):
    layers = layers_from(parameters["layers"])
    linears = models.weight_layers(layers)
    weights = {layer.name: quantised(weight)
               for layer, weight in zip(linears, inputs["weights"], strict=True)}
    xs = []
    logits = forward(layers, weights, quantised(inputs["x"]), xs)
    errors = []
    gradients = tail.tail_gradients(
        layers, weights, logits, xs, class_labels(inputs["labels"], logits),
        lambda op, name, value: errors.append(listed(value)) if isinstance(value, QTensor) else None)
    steps = {name: tail.gradient_step(gradient, parameters["b_bp"]) for name, gradient in gradients.items()}
    tail.update_tail(weights, steps)
    return {"xs": [listed(x) for x in xs], "logits": listed(logits), "errors": errors,
            "gradients": [gradient.tolist() for gradient in gradients.values()],
            "steps": [step.tolist() for step in steps.values()],
            "weights": [weight.data.tolist() for weight in weights.values()]}


def tail_case(comment, widths, batch, number, *flags, labels=(0, 1, 2), b_bp=4):
    layers, weights = [], []
    for i, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
        layers += [ReLU()] * (i > 0) + [Linear(f"fc{i + 1}", n_in, n_out)]
        weights.append({"data": made_up(number + i, (n_out, n_in), 63), "exponent": -7 - i})
    x = np.maximum(made_up(number + 9, (batch, widths[0])), 0).tolist()
    return Case(comment, {"x": {"data": x, "exponent": -6}, "weights": weights,
                          "labels": list(labels[:batch])},
                {"layers": described(layers), "b_bp": b_bp}, flags)


def several_layers(inputs, parameters, expected):
    return len(inputs["weights"]) > 1


TAIL_STEP = Op(
    "Forward, backward and update of a tail of linear layers with ReLU between them. xs: the int8 input of "
    "each linear layer; errors, gradients and steps come last layer first (errors[0] is softmax_error, "
    "errors[k] what remains after linear_backward, relu_backward and requantise through k layers); weights "
    "after the update, first layer first. No error is passed back through the first layer of the tail.",
    tail_step_of,
    {"UpdateBeforeError": Flag("A layer is updated before the error passes through it.", several_layers),
     "UpdateSignInverted": Flag("The steps are added.", always),
     "OneHotSign": Flag("The error is one-hot minus softmax.", always),
     "ReluMaskMissing": Flag("The error is not masked by the ReLU.", several_layers),
     "RequantisedBeforeMask": Flag("The error is requantised before it is masked."),
     "ErrorNotRequantised": Flag("The error's int32 is cut to its low 8 bits.", several_layers),
     "ErrorExponentForgotten": Flag("The exponent of the weights is not added to the error's.",
                                    several_layers)},
    [tail_case("one layer, batch 1", (5, 3), 1, 100),
     tail_case("one layer, batch 3", (6, 4), 3, 110),
     tail_case("two layers, batch 1", (5, 4, 3), 1, 120, "RequantisedBeforeMask"),
     tail_case("two layers, batch 3, b_bp 1", (5, 6, 3), 3, 130, b_bp=1),
     tail_case("two layers, batch 2, b_bp 7", (4, 5, 4), 2, 140, b_bp=7),
     tail_case("three layers, batch 3", (7, 6, 5, 3), 3, 170, "RequantisedBeforeMask")])


OPS = {"gradient_step": GRADIENT_STEP, "update_tail": UPDATE_TAIL, "tail_step": TAIL_STEP}
