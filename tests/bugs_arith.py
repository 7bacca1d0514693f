"""Ports with one bug each in the integer arithmetic: BUGS[op][flag], see bugs.py."""
import math

import twins
from bugs_common import answering, float32, using, wrapped
from twins import bit_width, clip, flat, mapped, max_abs, requantise, signed


# Pixels and widths.

def each_pixel(change):
    return answering(data=lambda i, p, right: mapped(change, i["pixels"]))


PIXELS = {
    "SignedPixels": each_pixel(lambda v: wrapped(v, 8) >> 1),
    "Centred": each_pixel(lambda v: v - 128),
    "Rounded": each_pixel(lambda v: (v + 1) // 2)}


def ceil_log2(magnitude):
    return 0 if magnitude == 0 else bit_width(magnitude - 1)


def float_width(magnitude):
    """The width that the exponent of a 32-bit float gives."""
    return math.frexp(float32(magnitude))[1]


BIT_WIDTH = {
    "WidthAtPowerOfTwo": using(bit_width=ceil_log2),
    "FloatLog2": using(bit_width=float_width),
    "FloorLog2": using(bit_width=lambda m: max(0, len(bin(m)) - 3)),
    "WidthOfZero": using(bit_width=lambda m: len(bin(m)) - 2)}


# round_shift.

def half(shift):
    return 1 << shift >> 1


def tie_to_even(v, shift):
    quotient, dropped = divmod(abs(v), 2**shift)
    if 2 * dropped > 2**shift or 2 * dropped == 2**shift and quotient % 2:
        quotient += 1
    return signed(quotient, v)


def tie_down(v, shift):
    return v if shift == 0 else signed((abs(v) + half(shift) - 1) >> shift, v)


def floored(v, shift):
    """Half up: Python's >> floors, as that of a processor does."""
    return (v + half(shift)) >> shift


def half_added_to_negative(v, shift):
    raised = v + half(shift)
    return signed(abs(raised) >> shift, raised)


def through_float32(v, shift):
    return signed(int(abs(float32(v) / 2.0**shift) + 0.5), v)     # exact: a power of two


def half_for_shift_zero(v, shift):
    return signed((abs(v) + (1 << max(shift - 1, 0))) >> shift, v)


ROUND_SHIFT = {
    "FloorNotTruncate": using(round_shift=floored),
    "HalfAddedToNegative": using(round_shift=half_added_to_negative),
    "Truncated": using(round_shift=lambda v, shift: signed(abs(v) >> shift, v)),
    "TieDown": using(round_shift=tie_down),
    "TieToEven": using(round_shift=tie_to_even),
    "ShiftZero": using(round_shift=half_for_shift_zero),
    "ThroughFloat32": using(round_shift=through_float32)}


# pseudo_stochastic_shift.

def by_parts(decide, low_bits=lambda shift: shift // 2):
    """A shift that rounds up where decide(high, low, shift) says so."""
    def shifted(v, shift):
        if shift == 0:
            return v
        quotient, dropped = divmod(abs(v), 2**shift)
        high, low = divmod(dropped, 2**low_bits(shift))
        return signed(quotient + bool(decide(high, low, shift)), v)
    return shifted


def doubled_if_odd(low, shift):
    return low << (shift % 2)


def in_twos_complement(v, shift):
    """A shift and masks on the signed number itself."""
    dropped = v & ((1 << shift) - 1)
    low_bits = shift // 2
    high, low = dropped >> low_bits, dropped & ((1 << low_bits) - 1)
    return (v >> shift) + (high > doubled_if_odd(low, shift))


LOW_NOT_DOUBLED = by_parts(lambda high, low, shift: high > low)

PSEUDO_SHIFT = {
    "FloorNotTruncate": using(pseudo_stochastic_shift=in_twos_complement),
    "OddShift": using(pseudo_stochastic_shift=LOW_NOT_DOUBLED),
    "OddBitToLow": using(pseudo_stochastic_shift=by_parts(
        lambda high, low, shift: high << (shift % 2) > low, lambda shift: (shift + 1) // 2)),
    "GreaterEqual": using(pseudo_stochastic_shift=by_parts(
        lambda high, low, shift: high >= doubled_if_odd(low, shift))),
    "HalvesSwapped": using(pseudo_stochastic_shift=by_parts(
        lambda high, low, shift: doubled_if_odd(low, shift) > high)),
    "Truncated": using(pseudo_stochastic_shift=by_parts(lambda high, low, shift: False)),
    "RoundedToNearest": using(pseudo_stochastic_shift=twins.round_shift)}


# Requantisation.

def with_shift(shift_of):
    """The bug of a port whose shift is shift_of(accumulator); where it is negative the data grow."""
    def bug(accumulator, exponent):
        shift = shift_of(accumulator)
        scaled = mapped(lambda v: clip(v << -shift if shift < 0 else twins.round_shift(v, shift), 127),
                        accumulator)
        return scaled, exponent + shift
    return using(requantise=bug)


def of_signed_maximum(accumulator):
    return max(0, bit_width(max(0, max(flat(accumulator)))) - 7)


def maximum_of_signed(twin, i, p):
    right = with_shift(of_signed_maximum)(twin, i, p)
    return {**right, "maximum": max(flat(i["accumulator"]))}


def of_each_sample(accumulator, exponent):
    """Each row by its own maximum; the exponent of the first stands for all."""
    rows = accumulator if isinstance(accumulator[0], list) else [accumulator]
    data = [requantise(row, exponent)[0] for row in rows]
    return (data if isinstance(accumulator[0], list) else data[0]), requantise(rows[0], exponent)[1]


REQUANTISE = {
    "WidthAtPowerOfTwo": using(bit_width=ceil_log2),
    "FloatLog2": using(bit_width=float_width),
    "MaximumWithoutAbs": maximum_of_signed,
    "MaximumOfEachSample": using(requantise=of_each_sample),
    "Minus128": using(clip=lambda v, bound: max(-128, min(127, v))),
    "WrappedInt8": using(clip=lambda v, bound: wrapped(v, 8)),
    "FloorNotTruncate": using(round_shift=floored),
    "TieDown": using(round_shift=tie_down),
    "TieToEven": using(round_shift=tie_to_even),
    "ShiftedTo8Bits": with_shift(lambda accumulator: max(0, bit_width(max_abs(accumulator)) - 8)),
    "NegativeShift": with_shift(lambda accumulator: bit_width(max_abs(accumulator)) - 7
                                if max_abs(accumulator) else 0),
    "ZeroTensor": answering(exponent=lambda i, p, right: right["exponent"] if right["maximum"] else 0),
    "ExponentSubtracted": answering(exponent=lambda i, p, right: p["exponent"] - right["shift"]),
    "ExponentKept": answering(exponent=lambda i, p, right: p["exponent"])}


BUGS = {"from_pixels": PIXELS, "bit_width": BIT_WIDTH, "round_shift": ROUND_SHIFT,
        "pseudo_stochastic_shift": PSEUDO_SHIFT, "requantise": REQUANTISE}
