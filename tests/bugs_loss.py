"""Ports with one bug each in the integer losses: BUGS[op][flag], see bugs.py."""
import functools
import math
from fractions import Fraction

import twins
from bugs_arith import ceil_log2, floored
from bugs_common import answering, float32, misread, using, wrapped
from twin_ops import sign
from twins import bit_width, floored_bits, mapped, polynomial, round_shift

ONE = 2**22


# u.

def u_by(to_the_right=round_shift, factor=47274, bits=7, saturated=lambda exponent: min(exponent, 20)):
    """The bug of a port that forms u = logit * factor * 2^(bits + exponent) with other parts."""
    def base2_logit(logit, exponent):
        product, shift = logit * factor, bits + saturated(exponent)
        return product << shift if shift >= 0 else to_the_right(product, -shift)
    return using(base2_logit=base2_logit)


right_u = twins.base2_logit
U_IN_32_BITS = using(base2_logit=lambda logit, exponent: wrapped(right_u(logit, exponent), 32))
FLOORED_U = u_by(floored)
NOT_SATURATED = u_by(saturated=lambda exponent: exponent)

BASE2_LOGITS = {
    "ExponentNotSaturated": NOT_SATURATED,
    "Truncated": u_by(lambda product, shift: int(Fraction(product, 2**shift))),
    "FloorNotTruncate": FLOORED_U,
    "Shift32": u_by(lambda product, shift: round_shift(product, shift % 32)),
    "Int32Product": U_IN_32_BITS,
    "ExactLog2E": u_by(factor=6196328019, bits=-10),                 # log2(e) * 2^32
    "NaturalLogits": u_by(factor=1, bits=22)}


# Powers and logarithms.

def exp2_with(whole_of=lambda d: -(-d // ONE), fraction_of=lambda d, whole: whole * ONE - d, horner=polynomial,
              multiplied=lambda a, b: a * b >> 30, shift_of=lambda whole: whole):
    """The bug of a port whose powers of two have other parts."""
    def exp2(distance):
        whole = whole_of(distance)
        fraction = fraction_of(distance, whole) << 8
        return (2**30 + multiplied(fraction, horner(twins.EXP2, fraction))) >> shift_of(whole)
    return using(exp2_negative=exp2)


def products(product):
    """Arguments of exp2_with and log2_with for a port that multiplies by product(a, b), in Horner's rule too."""
    def horner(coefficients, x):
        return functools.reduce(lambda value, coefficient: coefficient + product(value, x), reversed(coefficients))
    return {"horner": horner, "multiplied": product}


ROUNDED = products(lambda a, b: (a * b + 2**29) >> 30)
INT32 = products(lambda a, b: wrapped(a * b, 32) >> 30)


def reversed_horner(coefficients, x):
    return polynomial(coefficients[::-1], x)


def distances(distance_of):
    """The bug of a port that takes distance_of(v, u) for the distance of an element v of u."""
    def bug(twin, i, p):
        distance = mapped(lambda v: distance_of(v, i["u"]), i["u"])
        return {"distance": distance, "terms": mapped(twins.exp2_negative, distance)}
    return bug


EXP2_TERMS = {
    "MaximumNotSubtracted": distances(lambda v, u: max(0, -v)),
    "MaximumOfBatch": distances(lambda v, u: max(map(max, u)) - v),
    "FractionNotComplemented": exp2_with(lambda d: d // ONE, lambda d, whole: d - whole * ONE),
    "CoefficientsReversed": exp2_with(horner=reversed_horner),
    "HornerRounded": exp2_with(**ROUNDED),
    "Int32Product": exp2_with(**INT32),
    "ExactExp2": using(exp2_negative=lambda distance: math.floor(2**30 * 2.0**(-distance / ONE) + 0.5)),
    "Shift32": exp2_with(shift_of=lambda whole: whole % 32),
    "Shift64": exp2_with(shift_of=lambda whole: whole % 64)}


def log2_with(whole_of=lambda total: bit_width(total) - 31, ratio=lambda a, b: a // b, horner=polynomial,
              multiplied=lambda a, b: a * b >> 30, whole_counts=True):
    """The bug of a port whose logarithm has other parts."""
    def log2(total):
        whole = whole_of(total)
        x = total >> whole
        t = ratio((x - 2**30) << 30, x + 2**30)
        fraction = multiplied(t, horner(twins.LOG2, multiplied(t, t))) >> 8
        return whole * ONE * whole_counts + fraction
    return using(log2_of=log2)


LOG2_SUM = {
    "WidthAtPowerOfTwo": log2_with(lambda total: max(0, ceil_log2(total) - 31)),
    "WholeForgotten": log2_with(whole_counts=False),
    "DivisionRounded": log2_with(ratio=lambda a, b: (a + b // 2) // b),
    "HornerRounded": log2_with(**ROUNDED),
    "CoefficientsReversed": log2_with(horner=reversed_horner),
    "ExactLog2": using(log2_of=lambda total: math.floor((math.log2(total) - 30) * ONE + 0.5))}


# Losses.

LABELS_FROM_ONE = misread(lambda i: {"labels": [label - 1 if label else len(i["logits"]["data"][0]) - 1
                                                for label in i["labels"]]})


def summed(change):
    """The bug of a port whose per_sample is changed, and its sum with it: change(i, right)."""
    def bug(twin, i, p):
        right = twin(i, p)
        parts = change(i, right)
        return {**right, "per_sample": parts, "loss": sum(parts)}
    return bug


def of_loss(change):
    return answering(loss=lambda i, p, right: change(right["loss"], i, right))


CROSS_ENTROPY = {
    "ExponentNotSaturated": NOT_SATURATED,
    "ExponentIgnored": misread(lambda i: {"logits": {**i["logits"], "exponent": 0}}),
    "FloorNotTruncate": FLOORED_U,
    "LabelFromOne": LABELS_FROM_ONE,
    "LabelMissing": summed(lambda i, right: [
        v + row[label] for v, row, label in zip(right["per_sample"], right["u"], i["labels"])]),
    "MaximumMissing": summed(lambda i, right: [v - max(row) for v, row in zip(right["per_sample"], right["u"])]),
    "MeanNotSum": of_loss(lambda loss, i, right: loss // len(i["labels"])),
    "LastSampleOnly": of_loss(lambda loss, i, right: right["per_sample"][-1]),
    "Int32Loss": of_loss(lambda loss, i, right: wrapped(loss, 32)),
    "Int32U": U_IN_32_BITS,
    "Nats": of_loss(lambda loss, i, right: loss * 45426 >> 16)}


def coarse_with(bits_of=floored_bits, window=lambda distance: 2**10 >> min(distance, 11), width=bit_width):
    """The coarse loss with other parts: bits_of(u), the term of a distance, the width of their sum."""
    def loss(logits, labels):
        total = 0
        for row, label in zip(logits[0], labels, strict=True):
            u = [bits_of(twins.base2_logit(v, logits[1])) for v in row]
            total += width(sum(window(max(u) - v) for v in u)) - 11 + max(u) - u[label]
        return total * ONE
    return using(coarse_cross_entropy=loss)


COARSE = {
    "TruncatedNotFloored": coarse_with(lambda u: int(Fraction(u, ONE))),
    "RoundedU": coarse_with(lambda u: round_shift(u, 22)),
    "WindowTooShort": coarse_with(window=lambda distance: 2**10 >> distance if distance < 10 else 0),
    "WindowTooLong": coarse_with(window=lambda distance: 2**10 >> min(distance, 10) if distance < 12 else 0),
    "WidthAtPowerOfTwo": coarse_with(width=lambda total: ceil_log2(total) + 1),
    "LabelFromOne": LABELS_FROM_ONE,
    "WholeBits": of_loss(lambda loss, i, right: loss >> 22)}


def comparing(compare):
    """The bug of a port whose g is compare(loss_plus, loss_minus)."""
    return answering(g=lambda i, p, right: compare(right["loss_plus"], right["loss_minus"]))


LOSS_SIGN = {
    "SignInverted": comparing(lambda plus, minus: sign(minus, plus)),
    "EqualIsPlus": comparing(lambda plus, minus: 1 if plus >= minus else -1),
    "EqualIsMinus": comparing(lambda plus, minus: 1 if plus > minus else -1),
    "WholeBits": comparing(lambda plus, minus: sign(plus >> 22, minus >> 22)),
    "Float32Losses": comparing(lambda plus, minus: sign(float32(plus), float32(minus))),
    "Int32Difference": comparing(lambda plus, minus: sign(wrapped(plus - minus, 32), 0)),
    "OneExponent": misread(lambda i: {"minus": {**i["minus"], "exponent": i["plus"]["exponent"]}})}


BUGS = {"base2_logits": BASE2_LOGITS, "exp2_terms": EXP2_TERMS, "log2_sum": LOG2_SUM,
        "cross_entropy": CROSS_ENTROPY, "coarse_cross_entropy": COARSE, "loss_sign": LOSS_SIGN}
