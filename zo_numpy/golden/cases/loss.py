"""Golden cases of the two integer losses and of the sign that their difference gives."""
from ...int8 import loss
from ...int8.arith import QTensor
from ...int8.loss import FRACTION_BITS, MAX_EXPONENT
from .common import Case, Flag, Op, beyond, class_labels, flat, made_up, quantised
from .loss_parts import is_negative_tie


def per_sample(loss_of, logits, labels):
    return [loss_of(QTensor(logits.data[n:n + 1], logits.exponent), labels[n:n + 1])
            for n in range(len(labels))]


def cross_entropy_of(inputs, parameters):
    logits = quantised(inputs["logits"])
    labels = class_labels(inputs["labels"], logits)
    u = loss.base2_logits(logits)
    terms = loss.exp2_terms(u)
    totals = terms.sum(axis=1)
    return {"u": u.tolist(), "terms": terms.tolist(), "totals": totals.tolist(),
            "log2": loss.log2_sum(totals).tolist(),
            "per_sample": per_sample(loss.cross_entropy, logits, labels),
            "loss": loss.cross_entropy(logits, labels)}


def case(comment, data, exponent, labels, *flags):
    return Case(comment, {"logits": {"data": data, "exponent": exponent}, "labels": labels}, {}, flags)


def batch_larger_than_one(inputs, parameters, expected):
    return len(inputs["labels"]) > 1 and expected["loss"] != 0


def other_label(inputs, parameters, expected):
    """Labels that count from 1 point at another u."""
    return any(row[label] != row[label - 1] for row, label in zip(expected["u"], inputs["labels"]))


EACH_DISTANCE = [0, -1, -2, -3, -5, -6, -7, -9, -10, -12, -13]   # floor(u) is 0, -1, ..., -10 at exponent -1
SPREAD = [[-127, 0, 60, 127], [1, -1, 2, -64], [100, 100, -100, 99]]

CROSS_ENTROPY = Op(
    "The loss of a batch in units of 2^-22 bits: the sum over the samples of log2_sum(sum of exp2_terms) + "
    "max u - u[label]. totals: the sum of each row's terms. 64-bit.",
    cross_entropy_of,
    {"ExponentNotSaturated": Flag("Exponents above 20 are used as they are.", lambda i, p, e: i["logits"][
        "exponent"] > MAX_EXPONENT and any(flat(i["logits"]["data"]))),
     "ExponentIgnored": Flag("Logits are used without their exponent.", lambda i, p, e: i["logits"][
         "exponent"] != 0 and any(flat(i["logits"]["data"]))),
     "FloorNotTruncate": Flag("u is rounded by shifting the signed product.", lambda i, p, e: any(
         is_negative_tie(v * 47274, 7 + i["logits"]["exponent"]) for v in flat(i["logits"]["data"]))),
     "LabelFromOne": Flag("Labels are taken to count from 1.", other_label),
     "LabelMissing": Flag("u of the label is not subtracted.", lambda i, p, e: any(
         row[label] != 0 for row, label in zip(e["u"], i["labels"]))),
     "MaximumMissing": Flag("The maximum of u is not added to the logarithm.",
                            lambda i, p, e: any(max(row) != 0 for row in e["u"])),
     "MeanNotSum": Flag("The loss is divided by the batch size.", batch_larger_than_one),
     "LastSampleOnly": Flag("Only the last sample counts.", lambda i, p, e: e["loss"] != e["per_sample"][-1]),
     "Int32Loss": Flag("The loss is kept in 32 bits.", lambda i, p, e: e["loss"] >= 2**31),
     "Int32U": Flag("u is kept in 32 bits.", lambda i, p, e: beyond(e["u"], 2**31 - 1)),
     "Nats": Flag("The loss is multiplied by ln 2.", lambda i, p, e: e["loss"] != 0)},
    [case(f"exponent {exponent}", SPREAD, exponent, [2, 1, 3]) for exponent in
     (-40, -39, -30, -29, -24, -22, -18, -16, -14, -12, *range(-10, 6), 8, 9, 12, 16, 19, 20, 21, 25, 40)]
    + [case("one class costs nothing", [[55]], -3, [0]),
       case("two equal logits cost one bit", [[-7, -7]], -2, [1]),
       case("eight equal logits cost three", [[90] * 8], 0, [5]),
       case("zeros", [[0] * 10], -8, [9]),
       case("certain and right", [[127, -127]], 0, [0]),
       case("certain and wrong", [[127, -127]], 0, [1]),
       case("certain and wrong, the largest loss of a sample", [[127, -127]], 20, [1]),
       case("all negative", [[-100, -90, -80]], -5, [0]),
       case("batch 1, ten classes", made_up(0, (1, 10)), -5, [3]),
       case("batch 7, ten classes", made_up(1, (7, 10)), -4, [0, 9, 3, 3, 7, 1, 5]),
       case("batch 5, small losses", [[127, 0, 0], [0, 127, 0], [0, 0, 127], [127, 1, 2], [3, 127, 4]], -3,
            [0, 1, 2, 0, 1]),
       case("batch 2, forty classes", made_up(2, (2, 40)), -6, [39, 0])])


def whole_bits(value):
    return value >> FRACTION_BITS


def coarse_of(inputs, parameters):
    logits = quantised(inputs["logits"])
    labels = class_labels(inputs["labels"], logits)
    return {"u": loss.base2_logits(logits).tolist(),
            "per_sample": per_sample(loss.coarse_cross_entropy, logits, labels),
            "loss": loss.coarse_cross_entropy(logits, labels)}


COARSE_SPREAD = {   # exponent of SPREAD: what shows there
    -40: (), -22: ("TruncatedNotFloored", "RoundedU", "WidthAtPowerOfTwo"),
    -12: ("TruncatedNotFloored", "RoundedU", "WidthAtPowerOfTwo"),
    -8: ("TruncatedNotFloored", "RoundedU", "WidthAtPowerOfTwo"), -7: ("RoundedU", "WidthAtPowerOfTwo"),
    -5: ("TruncatedNotFloored", "RoundedU", "WidthAtPowerOfTwo"),
    -3: ("TruncatedNotFloored", "RoundedU", "WidthAtPowerOfTwo"), -1: ("RoundedU", "WidthAtPowerOfTwo"),
    0: ("TruncatedNotFloored", "RoundedU", "WidthAtPowerOfTwo"), 3: ("TruncatedNotFloored", "RoundedU"),
    9: ("TruncatedNotFloored",), 20: (), 21: (), 40: ()}

COARSE = Op(
    "The loss without fraction bits: v = u / 2^22 rounded down (towards minus infinity: the one place where "
    "it is), distance = max v - v, terms 2^10 >> distance (0 beyond 10), bits of a sample = bit_width(sum of "
    "terms) - 11 + distance of the label; loss = the sum of bits * 2^22.",
    coarse_of,
    {"TruncatedNotFloored": Flag("A negative u is rounded towards zero."),
     "RoundedU": Flag("u is rounded to the nearest integer."),
     "WindowTooShort": Flag("Terms at a distance of 10 vanish."),
     "WindowTooLong": Flag("Terms at a distance of 11 count 1."),
     "WidthAtPowerOfTwo": Flag("The logarithm of the sum is rounded up instead of down."),
     "LabelFromOne": Flag("Labels are taken to count from 1.", lambda i, p, e: any(
         whole_bits(row[label]) != whole_bits(row[label - 1]) for row, label in zip(e["u"], i["labels"]))),
     "WholeBits": Flag("The loss is given in bits, not in units of 2^-22.", lambda i, p, e: e["loss"] != 0)},
    [case(f"exponent {exponent}", SPREAD, exponent, [2, 1, 3], *flags)
     for exponent, flags in COARSE_SPREAD.items()]
    + [case("eight equal logits", [[100] * 8], -2, [5]),
       case("seven equal logits", [[100] * 7], -2, [5], "WidthAtPowerOfTwo"),
       case("a logit just below zero", [[0, -1]], -2, [0], "WidthAtPowerOfTwo", "TruncatedNotFloored",
            "RoundedU"),
       case("a logit just above zero", [[0, 1]], -2, [0]),
       case("distances 0 to 10, and 10 once more: the last makes the sum 2^11", [[*EACH_DISTANCE, -13]], -1,
            [0], "WindowTooShort"),
       case("distances 0 to 11: the sum stays below 2^11", [[*EACH_DISTANCE, -14]], -1, [11], "WindowTooLong",
            "WidthAtPowerOfTwo"),
       case("one class", [[-33]], 4, [0]),
       case("batch 5, ten classes", made_up(3, (5, 10)), -4, [0, 9, 3, 3, 7], "TruncatedNotFloored",
            "RoundedU", "WidthAtPowerOfTwo")])


# The sign of a difference.

def sign_of(inputs, parameters):
    losses = []
    for side in ("plus", "minus"):
        logits = quantised(inputs[side])
        losses.append(loss.cross_entropy(logits, class_labels(inputs["labels"], logits)))
    return {"loss_plus": losses[0], "loss_minus": losses[1],
            "g": (losses[0] > losses[1]) - (losses[0] < losses[1])}


def sign_case(comment, plus, minus, labels, *flags, exponents=(-3, -3)):
    return Case(comment, {"plus": {"data": plus, "exponent": exponents[0]},
                          "minus": {"data": minus, "exponent": exponents[1]}, "labels": labels}, {}, flags)


SIGN = Op(
    "The ZO gradient g = sgn(loss_plus - loss_minus), in {-1, 0, 1}, of the logits of the two passes over a "
    "batch; each loss by cross_entropy.",
    sign_of,
    {"SignInverted": Flag("g is sgn(loss_minus - loss_plus).", lambda i, p, e: e["g"] != 0),
     "EqualIsPlus": Flag("Equal losses give 1.", lambda i, p, e: e["g"] == 0),
     "EqualIsMinus": Flag("Equal losses give -1.", lambda i, p, e: e["g"] == 0),
     "WholeBits": Flag("Losses are cut to whole bits before they are compared.", lambda i, p, e: e["g"] != 0
                       and whole_bits(e["loss_plus"]) == whole_bits(e["loss_minus"])),
     "Float32Losses": Flag("Losses are compared as 32-bit floats."),
     "Int32Difference": Flag("The difference is kept in 32 bits."),
     "OneExponent": Flag("The exponent of the first pass is used for both.", lambda i, p, e: i["plus"][
         "exponent"] != i["minus"]["exponent"])},
    [sign_case("the first pass is worse", [[10, 20]], [[20, 10]], [0]),
     sign_case("the first pass is better", [[20, 10]], [[10, 20]], [0]),
     sign_case("equal logits", [[20, 10], [3, 4]], [[20, 10], [3, 4]], [0, 1]),
     sign_case("equal losses of different logits", [[20, 10]], [[30, 20]], [0]),
     sign_case("two samples that balance", [[20, 10], [10, 20]], [[10, 20], [20, 10]], [0, 0]),
     sign_case("less than a bit apart, worse", [[100, 10]], [[101, 10]], [0], exponents=(-5, -5)),
     sign_case("less than a bit apart, better", [[101, 10]], [[100, 10]], [0], exponents=(-5, -5)),
     sign_case("a few units apart, worse", [[0] * 10] * 4, [[0] * 10] * 3 + [[1] + [0] * 9], [0] * 4,
               "Float32Losses", exponents=(-22, -22)),
     sign_case("a few units apart, better", [[0] * 10] * 3 + [[1] + [0] * 9], [[0] * 10] * 4, [0] * 4,
               "Float32Losses", exponents=(-22, -22)),
     sign_case("far apart, worse: the low 32 bits of the difference have the other sign", [[127, -2]],
               [[127, 0]], [1], "Int32Difference", exponents=(20, 20)),
     sign_case("and better", [[127, 0]], [[127, -2]], [1], "Int32Difference", exponents=(20, 20)),
     sign_case("losses far above 2^32", [[127, -127], [5, 6]], [[127, -126], [6, 5]], [1, 0],
               "Int32Difference", exponents=(12, 12)),
     sign_case("other exponents, worse", [[20, 10, 0]], [[20, 10, 0]], [1], exponents=(-2, -3)),
     sign_case("other exponents, better", [[20, 10, 0]], [[20, 10, 0]], [0], exponents=(-2, -3))])


OPS = {"cross_entropy": CROSS_ENTROPY, "coarse_cross_entropy": COARSE, "loss_sign": SIGN}
