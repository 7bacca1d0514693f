"""Golden cases of the two integer losses, of their parts, and of the sign that their difference gives."""
from ...int8 import loss
from ...int8.arith import QTensor
from .common import Case, Op, class_labels, int64, logits_case, made_up, quantised, scaled

EDGE_LOGITS = [-127, -126, -64, -3, -2, -1, 0, 1, 2, 3, 64, 127]
ONE = 1 << loss.FRACTION_BITS


def _u_of(inputs, parameters):
    return {"u": loss.base2_logits(quantised(inputs["logits"])).tolist()}


BASE2_LOGITS = Op(
    "u = logit * 2^exponent * log2(e) in units of 2^-22: of the product logit * 47274, shifted to the left by 7 + "
    "min(exponent, 20), or where that is negative round_shift of it by min(-(7 + exponent), 30). 64-bit.",
    _u_of,
    {"ExponentNotSaturated": "Exponents above 20 are used as they are.",
     "Truncated": "The shift to the right drops bits without rounding.",
     "FloorNotTruncate": "The rounding shift adds a half and shifts the signed product: negative ties go up.",
     "Shift32": "The shift to the right is not limited and the processor takes it modulo 32.",
     "Int32Product": "u is kept in 32 bits.",
     "ExactLog2E": "A log2(e) of more bits is used.",
     "NaturalLogits": "The factor log2(e) is left out."},
    [logits_case(f"exponent {exponent}", [EDGE_LOGITS], exponent) for exponent in range(-41, 42)]
    + [logits_case(f"zeros, exponent {exponent}", [[0, 0], [0, 0]], exponent) for exponent in (-40, 0, 40)])


# Powers of two.

def _exp2_of(inputs, parameters):
    u = int64(inputs["u"])
    return {"distance": (u.max(axis=1, keepdims=True) - u).tolist(), "terms": loss.exp2_terms(u).tolist()}


def _below(*distances):
    """A row of u whose maximum is 0."""
    return [0, *(-d for d in distances)]


EXP2_TERMS = Op(
    "2^-distance in units of 2^-30, distance = the row's maximum - u in units of 2^-22. With whole = distance rounded "
    "up to an integer and f = whole - distance in units of 2^-30: (2^30 + ((f * p(f)) >> 30)) >> whole, 0 from whole "
    "= 32 on. p by Horner's rule from the last coefficient, each product shifted right by 30: coefficients, from f^0, "
    f"{', '.join(map(str, loss.EXP2_COEFFICIENTS))}. 64-bit.",
    _exp2_of,
    {"MaximumNotSubtracted": "0 is taken for the maximum of every row, and 2^30 for every larger u.",
     "MaximumOfBatch": "The maximum of the whole batch is subtracted.",
     "FractionNotComplemented": "whole is rounded down and f = distance - whole.",
     "CoefficientsReversed": "The coefficients are taken in the opposite order.",
     "HornerRounded": "Products are rounded to nearest instead of truncated.",
     "Int32Product": "Products are kept in 32 bits.",
     "ExactExp2": "An exact 2^-distance is rounded to nearest, as from a library's exp2.",
     "Shift32": "The shift by whole is taken modulo 32.",
     "Shift64": "The shift by whole is taken modulo 64."},
    [Case(comment, {"u": u}) for comment, u in (
        ("equal logits", [[5, 5, 5]]),
        ("one class", [[-ONE]]),
        ("whole distances", [_below(*(k * ONE for k in range(1, 9)))]),
        ("whole distances where the term becomes 1 and then 0", [_below(*(k * ONE for k in (29, 30, 31)))]),
        ("32, 33, 47", [_below(*(k * ONE for k in (32, 33, 47)))]),
        ("63, 64, 65, 94, 96, 128", [_below(*(k * ONE for k in (63, 64, 65, 94, 96, 128)))]),
        ("one unit from whole distances", [_below(1, ONE - 1, ONE + 1, 2 * ONE - 1, 30 * ONE - 1, 30 * ONE + 1)]),
        ("halves and quarters", [_below(ONE // 2, 3 * ONE // 2, ONE // 4, 3 * ONE // 4)]),
        ("sixteenths", [_below(*(k * ONE // 16 for k in range(1, 16)))]),
        ("a maximum below 0", [[-3 * ONE - 77, -5 * ONE, -4 * ONE - 1]]),
        ("two rows with maxima of their own", [[ONE, 0], [12 * ONE, 11 * ONE + 12345]]),
        ("the largest distance there may be", [[127 * 47274 << 27, -127 * 47274 << 27]]),
        ("ten classes, batch 3", scaled(made_up(0, (3, 10)), 123457)))])


def _log2_of(inputs, parameters):
    return {"log2": loss.log2_sum(int64(inputs["totals"])).tolist()}


LOG2_SUM = Op(
    "log2(total / 2^30) in units of 2^-22, total >= 2^30. whole = bit_width(total) - 31, x = total >> whole, t = ((x "
    "- 2^30) * 2^30) / (x + 2^30) rounded down; log2 = whole * 2^22 + (((t * p((t * t) >> 30)) >> 30) >> 8). p by "
    "Horner's rule from the last coefficient, each product shifted right by 30: coefficients, from t^0, "
    f"{', '.join(map(str, loss.LOG2_COEFFICIENTS))}. 64-bit.",
    _log2_of,
    {"WidthAtPowerOfTwo": "whole is one less where total is a power of two.",
     "WholeForgotten": "Only the fraction is given.",
     "DivisionRounded": "t is rounded to nearest.",
     "HornerRounded": "Products are rounded to nearest instead of truncated.",
     "CoefficientsReversed": "The coefficients are taken in the opposite order.",
     "ExactLog2": "An exact logarithm is rounded to nearest, as from a library's log2."},
    [Case(comment, {"totals": totals}) for comment, totals in (
        ("1", [2**30]),
        ("just above 1", [2**30 + 1, 2**30 + 2, 2**30 + 1000]),
        ("just below 2", [2**31 - 1]),
        ("2", [2**31]),
        ("powers of two", [2**b for b in range(32, 40)]),
        ("a unit above powers of two", [2**b + 1 for b in range(31, 40)]),
        ("a unit below powers of two", [2**b - 1 for b in range(32, 40)]),
        ("ten equal terms", [10 * 2**30]),
        ("a thousand equal terms", [1000 * 2**30]),
        ("1.5 and 1.25", [3 * 2**29, 5 * 2**28]),
        ("over the octave", [2**30 + k * 2**26 + 12345 for k in range(16)]),
        ("where a rounded t shows", [5835837043, 4866239050, 1126004440]),
        ("where rounded products show", [9272339455, 2648383179, 1332261100]))])


def _per_sample(loss_of, logits, labels):
    return [loss_of(QTensor(logits.data[n:n + 1], logits.exponent), labels[n:n + 1]) for n in range(len(labels))]


def _cross_entropy_of(inputs, parameters):
    logits = quantised(inputs["logits"])
    labels = class_labels(inputs["labels"], logits)
    u = loss.base2_logits(logits)
    terms = loss.exp2_terms(u)
    totals = terms.sum(axis=1)
    return {"u": u.tolist(), "terms": terms.tolist(), "totals": totals.tolist(),
            "log2": loss.log2_sum(totals).tolist(), "per_sample": _per_sample(loss.cross_entropy, logits, labels),
            "loss": loss.cross_entropy(logits, labels)}


EACH_DISTANCE = [0, -1, -2, -3, -5, -6, -7, -9, -10, -12, -13]   # floor(u) is 0, -1, ..., -10 at exponent -1
SPREAD = [[-127, 0, 60, 127], [1, -1, 2, -64], [100, 100, -100, 99]]

CROSS_ENTROPY = Op(
    "The loss of a batch in units of 2^-22 bits: the sum over the samples of log2_sum(sum of exp2_terms) + max u - "
    "u[label]. totals: the sum of each row's terms. 64-bit.",
    _cross_entropy_of,
    {"ExponentNotSaturated": "Exponents above 20 are used as they are.",
     "ExponentIgnored": "Logits are used without their exponent.",
     "FloorNotTruncate": "u is rounded by shifting the signed product.",
     "LabelFromOne": "Labels are taken to count from 1.",
     "LabelMissing": "u of the label is not subtracted.",
     "MaximumMissing": "The maximum of u is not added to the logarithm.",
     "MeanNotSum": "The loss is divided by the batch size.",
     "LastSampleOnly": "Only the last sample counts.",
     "Int32Loss": "The loss is kept in 32 bits.",
     "Int32U": "u is kept in 32 bits.",
     "Nats": "The loss is multiplied by ln 2."},
    [logits_case(f"exponent {exponent}", SPREAD, exponent, [2, 1, 3]) for exponent in
     (-40, -39, -30, -29, -24, -22, -18, -16, -14, -12, *range(-10, 6), 8, 9, 12, 16, 19, 20, 21, 25, 40)]
    + [logits_case("one class costs nothing", [[55]], -3, [0]),
       logits_case("two equal logits cost one bit", [[-7, -7]], -2, [1]),
       logits_case("eight equal logits cost three", [[90] * 8], 0, [5]),
       logits_case("zeros", [[0] * 10], -8, [9]),
       logits_case("certain and right", [[127, -127]], 0, [0]),
       logits_case("certain and wrong", [[127, -127]], 0, [1]),
       logits_case("certain and wrong, the largest loss of a sample", [[127, -127]], 20, [1]),
       logits_case("all negative", [[-100, -90, -80]], -5, [0]),
       logits_case("batch 1, ten classes", made_up(0, (1, 10)), -5, [3]),
       logits_case("batch 7, ten classes", made_up(1, (7, 10)), -4, [0, 9, 3, 3, 7, 1, 5]),
       logits_case("batch 5, small losses", [[127, 0, 0], [0, 127, 0], [0, 0, 127], [127, 1, 2], [3, 127, 4]], -3,
                   [0, 1, 2, 0, 1]),
       logits_case("batch 2, forty classes", made_up(2, (2, 40)), -6, [39, 0])])


def _coarse_of(inputs, parameters):
    logits = quantised(inputs["logits"])
    labels = class_labels(inputs["labels"], logits)
    return {"u": loss.base2_logits(logits).tolist(),
            "per_sample": _per_sample(loss.coarse_cross_entropy, logits, labels),
            "loss": loss.coarse_cross_entropy(logits, labels)}


COARSE = Op(
    "The loss without fraction bits: v = u / 2^22 rounded down (towards minus infinity: the one place where it "
    "is), distance = max v - v, terms 2^10 >> distance (0 beyond 10), bits of a sample = bit_width(sum of terms) - "
    "11 + distance of the label; loss = the sum of bits * 2^22.",
    _coarse_of,
    {"TruncatedNotFloored": "A negative u is rounded towards zero.",
     "RoundedU": "u is rounded to the nearest integer.",
     "WindowTooShort": "Terms at a distance of 10 vanish.",
     "WindowTooLong": "Terms at a distance of 11 count 1.",
     "WidthAtPowerOfTwo": "The logarithm of the sum is rounded up instead of down.",
     "LabelFromOne": "Labels are taken to count from 1.",
     "WholeBits": "The loss is given in bits, not in units of 2^-22."},
    [logits_case(f"exponent {exponent}", SPREAD, exponent, [2, 1, 3])
     for exponent in (-40, -22, -12, -8, -7, -5, -3, -1, 0, 3, 9, 20, 21, 40)]
    + [logits_case("eight equal logits", [[100] * 8], -2, [5]),
       logits_case("seven equal logits", [[100] * 7], -2, [5]),
       logits_case("a logit just below zero", [[0, -1]], -2, [0]),
       logits_case("a logit just above zero", [[0, 1]], -2, [0]),
       logits_case("distances 0 to 10, and 10 once more: the last makes the sum 2^11", [[*EACH_DISTANCE, -13]], -1,
                   [0]),
       logits_case("distances 0 to 11: the sum stays below 2^11", [[*EACH_DISTANCE, -14]], -1, [11]),
       logits_case("one class", [[-33]], 4, [0]),
       logits_case("batch 5, ten classes", made_up(3, (5, 10)), -4, [0, 9, 3, 3, 7])])


# The sign of a difference.

def _sign_of(inputs, parameters):
    losses = []
    for side in ("plus", "minus"):
        logits = quantised(inputs[side])
        losses.append(loss.cross_entropy(logits, class_labels(inputs["labels"], logits)))
    plus, minus = losses
    return {"loss_plus": plus, "loss_minus": minus, "g": (plus > minus) - (plus < minus)}


def _sign_case(comment, plus, minus, labels, exponents=(-3, -3)):
    return Case(comment, {"plus": {"data": plus, "exponent": exponents[0]},
                          "minus": {"data": minus, "exponent": exponents[1]}, "labels": labels})


SIGN = Op(
    "The ZO gradient g = sgn(loss_plus - loss_minus), in {-1, 0, 1}, of the logits of the two passes over a batch; "
    "each loss by cross_entropy.",
    _sign_of,
    {"SignInverted": "g is sgn(loss_minus - loss_plus).",
     "EqualIsPlus": "Equal losses give 1.",
     "EqualIsMinus": "Equal losses give -1.",
     "WholeBits": "Losses are cut to whole bits before they are compared.",
     "Float32Losses": "Losses are compared as 32-bit floats.",
     "Int32Difference": "The difference is kept in 32 bits.",
     "OneExponent": "The exponent of the first pass is used for both."},
    [_sign_case("the first pass is worse", [[10, 20]], [[20, 10]], [0]),
     _sign_case("the first pass is better", [[20, 10]], [[10, 20]], [0]),
     _sign_case("equal logits", [[20, 10], [3, 4]], [[20, 10], [3, 4]], [0, 1]),
     _sign_case("equal losses of different logits", [[20, 10]], [[30, 20]], [0]),
     _sign_case("two samples that balance", [[20, 10], [10, 20]], [[10, 20], [20, 10]], [0, 0]),
     _sign_case("less than a bit apart, worse", [[100, 10]], [[101, 10]], [0], exponents=(-5, -5)),
     _sign_case("less than a bit apart, better", [[101, 10]], [[100, 10]], [0], exponents=(-5, -5)),
     _sign_case("a few units apart, worse", [[0] * 10] * 4, [[0] * 10] * 3 + [[1] + [0] * 9], [0] * 4,
               exponents=(-22, -22)),
     _sign_case("a few units apart, better", [[0] * 10] * 3 + [[1] + [0] * 9], [[0] * 10] * 4, [0] * 4,
               exponents=(-22, -22)),
     _sign_case("far apart, worse: the low 32 bits of the difference have the other sign", [[127, -2]], [[127, 0]], [1],
               exponents=(20, 20)),
     _sign_case("and better", [[127, 0]], [[127, -2]], [1], exponents=(20, 20)),
     _sign_case("losses far above 2^32", [[127, -127], [5, 6]], [[127, -126], [6, 5]], [1, 0], exponents=(12, 12)),
     _sign_case("other exponents, worse", [[20, 10, 0]], [[20, 10, 0]], [1], exponents=(-2, -3)),
     _sign_case("other exponents, better", [[20, 10, 0]], [[20, 10, 0]], [0], exponents=(-2, -3))])


OPS = {"base2_logits": BASE2_LOGITS, "exp2_terms": EXP2_TERMS, "log2_sum": LOG2_SUM, "cross_entropy": CROSS_ENTROPY,
       "coarse_cross_entropy": COARSE, "loss_sign": SIGN}
