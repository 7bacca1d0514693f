"""Golden cases of the running scale of the tail's steps."""
import numpy as np

from ...int8 import arith, tail
from ...int8.arith import QTensor
from .common import Case, Op, filled, int32, made_up, scaled


def _running_step_of(inputs, parameters):
    gradient = QTensor(int32(inputs["gradient"]["data"]), int(inputs["gradient"]["exponent"]))
    b_bp, largest = parameters["b_bp"], arith.max_abs(gradient.data)
    again, scale = (int32([parameters["reference"], parameters["age"]]) for _ in range(2))
    step = tail.running_step(gradient, b_bp, scale)
    size = {"size": arith.bit_width(largest) + gradient.exponent} if largest else {}
    return {"maximum": largest, **size, "reference": int(scale[0]), "age": int(scale[1]),
            "shift": tail.running_shift(largest, gradient.exponent, b_bp, again), "step": step.tolist()}


def case(comment, data, exponent, reference, age=0, b_bp=4):
    return Case(comment, {"gradient": {"data": data, "exponent": exponent}},
                {"b_bp": b_bp, "reference": reference, "age": age})


SLOPE = [[1000, -600, 333, -31], [512, 8, -1, 0]]     # 10 bits
LARGE = [[2**30 - 1, -2**29, 2**20 + 12345, -99999], [70000, 2**25 + 1, -3, 0]]
RUNNING_STEP = Op(
    "A tail gradient scaled by the running reference of its layer (SPEC.md 9.1). size = bit_width(maximum) + exponent, "
    "left out where the gradient is zero. reference, age: those given, after they have taken notice of the gradient: "
    "size and 0 if size >= reference, else age + 1, or at 64 reference - 1 and 0; a zero gradient reaches no "
    "reference. shift = max(0, min(30, reference - b_bp - exponent)); step = pseudo_stochastic_shift(gradient, shift).",
    _running_step_of,
    {"OwnMaximum": "The shift is bit_width(maximum) - b_bp: the reference is ignored.",
     "ReferenceOfBefore": "The shift is of the reference as it was before this gradient.",
     "NeverRises": "A larger gradient leaves the reference as it is.",
     "EqualIsNotReached": "A gradient of the reference's own size does not reach it.",
     "FallsAtOnce": "The reference is the size of the last gradient.",
     "FallsToSize": "After 64 gradients the reference falls to the size of the last one.",
     "FallsLate": "The reference falls after 65 gradients.",
     "AgeNotCleared": "The age goes on counting when the reference is reached.",
     "ZeroReaches": "A zero gradient has the size of its exponent, and can reach the reference.",
     "ZeroDoesNotAge": "A zero gradient leaves the age as it is.",
     "ExponentForgotten": "Gradients are compared without their exponents.",
     "WidthAtPowerOfTwo": "The width is ceil(log2(maximum)): one too few at powers of two.",
     "ShiftBeyond30": "The shift is not bounded by 30.",
     "WrappedInt8": "The step is stored in an int8: 128 becomes -128.",
     "NegativeShift": "A negative shift is made to the left.",
     "FloorNotTruncate": "The signed value is shifted and masked in two's complement.",
     "OddShift": "low is not doubled for an odd shift.",
     "RoundedToNearest": "round_shift is used."},
    [case("the first step of a run decides the reference", SLOPE, -20, -1024),
     case("the first step meets zeros", filled(0, (2, 2)), -20, -1024),
     case("the reference rises by one", SLOPE, -20, -11, 17),
     case("the reference rises by ten", SLOPE, -20, -20, 63),
     case("a gradient as large as the reference", SLOPE, -20, -10, 50),
     *(case(f"{distance} bits below the reference", SLOPE, -20, -10 + distance, 3) for distance in (1, 2, 3, 4, 7, 12)),
     case("zeros", filled(0, (2, 3)), -20, -10, 7),
     case("zeros, and the reference falls", filled(0, (2, 3)), -20, -10, 63),
     case("zeros whose exponent is above the reference", filled(0, (2, 3)), 5, -10, 7),
     case("age 62: not yet", SLOPE, -20, -8, 62),
     case("age 63: the reference falls", SLOPE, -20, -8, 63),
     case("it falls to the size of the gradient", SLOPE, -20, -9, 63),
     case("it is far above", SLOPE, -20, 5, 63),
     *(case(f"b_bp {b_bp}", SLOPE, -20, -10, 1, b_bp) for b_bp in range(-8, 8)),
     *(case(f"one bit below the reference, b_bp {b_bp}", scaled(SLOPE, 1000), -22, -1, 1, b_bp) for b_bp in (-3, 0, 3)),
     *(case(f"a shift of {shift}", LARGE, -30, shift - 26, 0, 4) for shift in (23, 24, 28, 29, 30)),
     *(case(f"a shift of 30 for one of {shift}", LARGE, -30, shift - 26, 0, 4) for shift in (31, 32, 45, 200)),
     case("a shift of 30 at b_bp -8", LARGE, -30, 0, 0, -8),
     case("small and far below: nothing moves", [[5, -3, 0]], -20, 20),
     case("a shift below 0 is 0", [[5, -3, 0]], -2, -1024, b_bp=7),
     case("a shift of exactly 0", [[15, -9, 2]], -2, 2, b_bp=4),
     case("a gradient of 7 bits at b_bp 7", [[127, -100, 64]], -2, 0, b_bp=7),
     case("the step is 128", [[255, -255, 254]], -9, -5, b_bp=7),
     *(case(f"largest magnitude {largest}, at its reference", [[largest, -largest // 2, largest // 3, -1]], -25,
            arith.bit_width(largest) - 25, 9, 3) for largest in (1, 2, 127, 128, 2**20 - 1, 2**20, 2**30)),
     case("errors of a positive exponent", SLOPE, 6, 18),
     case("an odd shift", scaled(made_up(0, (4, 5)), 99), -18, -2, 40, 3),
     case("an even shift", scaled(made_up(1, (4, 5)), 401), -18, -1, 41, 3),
     case("one element", [[-77777]], -17, 3, 20, 1)])

OPS = {"running_step": RUNNING_STEP}
