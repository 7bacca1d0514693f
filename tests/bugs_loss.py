"""Ports with one bug each in the integer losses: BUGS[op][flag], see bugs_common.py."""
from fractions import Fraction
import math
import struct

import twins
from bugs_arith import ceil_log2, floored
from bugs_common import answering, misread, using, wrapped
from twin_ops import sign
from twins import bit_width, floored_bits, mapped, polynomial, round_shift

ONE = 2**22


# u.

def u_by(shifted):
    """A base2_logit whose product is moved by shifted(product, shift), shift < 0 to the right."""
    return lambda logit, exponent: shifted(logit * 47274, 7 + min(exponent, 20))


def truncating(product, shift):
    return product << shift if shift >= 0 else int(Fraction(product, 2**-shift))


def modulo_32(product, shift):
    return product << shift if shift >= 0 else round_shift(product, -shift % 32)


def exact_log2_e(logit, exponent):
    """log2(e) to 32 bits, the product rounded half away from zero."""
    exact = logit * Fraction(6196328019, 2**32) * Fraction(2)**(22 + min(exponent, 20))
    return math.floor(abs(exact) + Fraction(1, 2)) * (1 if logit > 0 else -1)


def not_saturated(logit, exponent):
    shift = 7 + exponent
    return logit * 47274 << shift if shift >= 0 else round_shift(logit * 47274, -shift)


def natural(logit, exponent):
    shift = 22 + min(exponent, 20)
    return logit << shift if shift >= 0 else round_shift(logit, -shift)


def floored_u(logit, exponent):
    product, shift = logit * 47274, 7 + min(exponent, 20)
    return product << shift if shift >= 0 else floored(product, -shift)


right_u = twins.base2_logit
U_IN_32_BITS = using(base2_logit=lambda logit, exponent: wrapped(right_u(logit, exponent), 32))
FLOORED_U = using(base2_logit=floored_u)
NOT_SATURATED = using(base2_logit=not_saturated)

BASE2_LOGITS = {
    "ExponentNotSaturated": NOT_SATURATED,
    "Truncated": using(base2_logit=u_by(truncating)),
    "FloorNotTruncate": FLOORED_U,
    "Shift32": using(base2_logit=u_by(modulo_32)),
    "Int32Product": U_IN_32_BITS,
    "ExactLog2E": using(base2_logit=exact_log2_e),
    "NaturalLogits": using(base2_logit=natural)}


# Powers and logarithms.

def exp2_with(whole_of=lambda d: -(-d // ONE), fraction_of=lambda d, whole: whole * ONE - d,
              horner=polynomial,
              multiplied=lambda a, b: a * b >> 30, shift_of=lambda whole: whole):
    def exp2(distance):
        whole = whole_of(distance)
        fraction = fraction_of(distance, whole) << 8
        return (2**30 + multiplied(fraction, horner(twins.EXP2, fraction))) >> shift_of(whole)
    return exp2


def rounded_product(a, b):
    return (a * b + 2**29) >> 30


def rounded_horner(coefficients, x):
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = coefficient + rounded_product(value, x)
    return value


def reversed_horner(coefficients, x):
    return polynomial(coefficients[::-1], x)


def int32_product(a, b):
    return wrapped(a * b, 32) >> 30


def int32_horner(coefficients, x):
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = coefficient + int32_product(value, x)
    return value


def exact_exp2(distance):
    return math.floor(2**30 * 2.0**(-distance / ONE) + 0.5)


def from_zero(twin, i, p):
    distance = [[max(0, -v) for v in row] for row in i["u"]]
    return {"distance": distance, "terms": mapped(twins.exp2_negative, distance)}


def from_maximum_of_batch(twin, i, p):
    largest = max(map(max, i["u"]))
    distance = [[largest - v for v in row] for row in i["u"]]
    return {"distance": distance, "terms": mapped(twins.exp2_negative, distance)}


EXP2_TERMS = {
    "MaximumNotSubtracted": from_zero,
    "MaximumOfBatch": from_maximum_of_batch,
    "FractionNotComplemented": using(exp2_negative=exp2_with(lambda d: d // ONE,
                                                             lambda d, whole: d - whole * ONE)),
    "CoefficientsReversed": using(exp2_negative=exp2_with(horner=reversed_horner)),
    "HornerRounded": using(exp2_negative=exp2_with(horner=rounded_horner, multiplied=rounded_product)),
    "Int32Product": using(exp2_negative=exp2_with(horner=int32_horner, multiplied=int32_product)),
    "ExactExp2": using(exp2_negative=exact_exp2),
    "Shift32": using(exp2_negative=exp2_with(shift_of=lambda whole: whole % 32)),
    "Shift64": using(exp2_negative=exp2_with(shift_of=lambda whole: whole % 64))}


def log2_with(whole_of=lambda total: bit_width(total) - 31, ratio=lambda a, b: a // b, horner=polynomial,
              multiplied=lambda a, b: a * b >> 30, whole_counts=True):
    def log2(total):
        whole = whole_of(total)
        x = total >> whole
        t = ratio((x - 2**30) << 30, x + 2**30)
        fraction = multiplied(t, horner(twins.LOG2, multiplied(t, t))) >> 8
        return whole * ONE * whole_counts + fraction
    return log2


def exact_log2(total):
    return math.floor((math.log2(total) - 30) * ONE + 0.5)


LOG2_SUM = {
    "WidthAtPowerOfTwo": using(log2_of=log2_with(lambda total: max(0, ceil_log2(total) - 31))),
    "WholeForgotten": using(log2_of=log2_with(whole_counts=False)),
    "DivisionRounded": using(log2_of=log2_with(ratio=lambda a, b: (a + b // 2) // b)),
    "HornerRounded": using(log2_of=log2_with(horner=rounded_horner, multiplied=rounded_product)),
    "CoefficientsReversed": using(log2_of=log2_with(horner=reversed_horner)),
    "ExactLog2": using(log2_of=exact_log2)}


# Losses.

def ignoring_exponent(twin, i, p):
    return twin({**i, "logits": {**i["logits"], "exponent": 0}}, p)


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
    "ExponentIgnored": ignoring_exponent,
    "FloorNotTruncate": FLOORED_U,
    "LabelFromOne": LABELS_FROM_ONE,
    "LabelMissing": summed(lambda i, right: [
        v + row[label] for v, row, label in zip(right["per_sample"], right["u"], i["labels"])]),
    "MaximumMissing": summed(lambda i, right: [v - max(row) for v, row in zip(right["per_sample"],
                                                                              right["u"])]),
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


def float32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


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
