"""Ports with one bug each in the running scale of the tail's steps: BUGS[op][flag], see bugs.py."""
import twins
from bugs_arith import LOW_NOT_DOUBLED, ceil_log2, in_twos_complement
from bugs_common import answering, misread, using, wrapped
from twins import bit_width, mapped, max_abs
from twins_training import noticed, running_shift, size_of


def reference_of_before(twin, i, p):
    """The bug of a port that forms the shift first and takes notice of the gradient then."""
    right = twin(i, p)
    return shifted(right, i, running_shift(i["gradient"]["exponent"], p["b_bp"], p["reference"]))


def own_maximum(twin, i, p):
    return shifted(twin(i, p), i, max(0, bit_width(max_abs(i["gradient"]["data"])) - p["b_bp"]))


def shifted(right, i, shift):
    """The right answer but for the shift and the step it makes."""
    return {**right, "shift": shift,
            "step": mapped(lambda v: twins.pseudo_stochastic_shift(v, shift), i["gradient"]["data"])}


def negative_shift(twin, i, p):
    right = twin(i, p)
    shift = right["reference"] - p["b_bp"] - i["gradient"]["exponent"]
    if shift >= 0 or right["shift"]:
        return right
    return {**right, "shift": shift, "step": mapped(lambda v: v << min(-shift, 64), i["gradient"]["data"])}


def noticing(change):
    """The bug of a port whose reference and age become change(size, reference, age)."""
    return using(noticed=change)


def zero_does_not_age(size, reference, age):
    return (reference, age) if size is None else noticed(size, reference, age)


def falls_late(size, reference, age):
    if size is not None and size >= reference:
        return size, 0
    return (reference - 1, 0) if age == 64 else (reference, age + 1)


def equal_is_not_reached(size, reference, age):
    return noticed(None, reference, age) if size == reference else noticed(size, reference, age)


def falls_to_size(size, reference, age):
    after = noticed(size, reference, age)
    return (size, 0) if age == 63 and size is not None else after


def age_not_cleared(size, reference, age):
    return (size, age + 1) if size is not None and size >= reference else noticed(size, reference, age)


def size_with_zero(largest, exponent):
    return exponent if largest == 0 else size_of(largest, exponent)


RUNNING_STEP = {
    "OwnMaximum": own_maximum,
    "ReferenceOfBefore": reference_of_before,
    "NeverRises": noticing(lambda size, reference, age: (
        (reference, 0) if size is not None and size > reference else noticed(size, reference, age))),
    "EqualIsNotReached": noticing(equal_is_not_reached),
    "FallsAtOnce": noticing(lambda size, reference, age: (
        noticed(size, reference, age) if size is None else (size, 0))),
    "FallsToSize": noticing(falls_to_size),
    "FallsLate": noticing(falls_late),
    "AgeNotCleared": noticing(age_not_cleared),
    "ZeroReaches": using(size_of=size_with_zero),
    "ZeroDoesNotAge": noticing(zero_does_not_age),
    "ExponentForgotten": misread(lambda i: {"gradient": {**i["gradient"], "exponent": 0}}),
    "WidthAtPowerOfTwo": using(bit_width=ceil_log2),
    "ShiftBeyond30": using(running_shift=lambda exponent, b_bp, reference: max(0, reference - b_bp - exponent)),
    "NegativeShift": negative_shift,
    "WrappedInt8": answering(step=lambda i, p, right: mapped(lambda v: wrapped(v, 8), right["step"])),
    "FloorNotTruncate": using(pseudo_stochastic_shift=in_twos_complement),
    "OddShift": using(pseudo_stochastic_shift=LOW_NOT_DOUBLED),
    "RoundedToNearest": using(pseudo_stochastic_shift=twins.round_shift)}

BUGS = {"running_step": RUNNING_STEP}
