"""Golden cases of the parts of the integer cross-entropy: u, powers of two, the logarithm of their sum."""
from ...int8 import loss
from ...int8.loss import FRACTION_BITS, MAX_EXPONENT
from .common import Case, Flag, Op, beyond, flat, int64, made_up, quantised, scaled

EDGE_LOGITS = [-127, -126, -64, -3, -2, -1, 0, 1, 2, 3, 64, 127]
ONE = 1 << FRACTION_BITS
LOG2_E_32 = 6196328019     # log2(e) * 2^32 to the nearest integer


def u_of(inputs, parameters):
    return {"u": loss.base2_logits(quantised(inputs["logits"])).tolist()}


def exponent_shift(inputs):
    """The bits by which logit * 47274 is shifted to the left."""
    return 7 + min(inputs["logits"]["exponent"], MAX_EXPONENT)


def any_logit(bug):
    """The predicate of a bug in one u: bug(logit * 47274, shift), shift < 0 to the right."""
    return lambda i, p, e: any(bug(v * 47274, exponent_shift(i)) for v in flat(i["logits"]["data"]))


def nearest(product, shift):
    """product * 2^shift, half away from zero."""
    if shift >= 0:
        return product << shift
    magnitude = (abs(product) + (1 << -shift >> 1)) >> -shift
    return magnitude if product > 0 else -magnitude


def is_negative_tie(product, shift):
    return shift < 0 and product < 0 and -product % (1 << -shift) == 1 << (-shift - 1)


def truncated(product, shift):
    return shift < 0 and abs(nearest(product, shift)) != abs(product) >> -shift


def logits_case(comment, data, exponent):
    return Case(comment, {"logits": {"data": data, "exponent": exponent}})


BASE2_LOGITS = Op(
    "u = logit * 2^exponent * log2(e) in units of 2^-22: of the product logit * 47274, shifted to the left "
    "by 7 + min(exponent, 20), or where that is negative round_shift of it by min(-(7 + exponent), 30). "
    "64-bit.",
    u_of,
    {"ExponentNotSaturated": Flag("Exponents above 20 are used as they are.",
                                  lambda i, p, e: i["logits"]["exponent"] > MAX_EXPONENT
                                  and any(flat(e["u"]))),
     "Truncated": Flag("The shift to the right drops bits without rounding.", any_logit(truncated)),
     "FloorNotTruncate": Flag("The rounding shift adds a half and shifts the signed product: negative ties "
                              "go up.",
                              any_logit(is_negative_tie)),
     "Shift32": Flag("The shift to the right is not limited and the processor takes it modulo 32.", any_logit(
         lambda product, shift: shift <= -32 and nearest(product, -(-shift % 32)) != 0)),
     "Int32Product": Flag("u is kept in 32 bits.", lambda i, p, e: beyond(e["u"], 2**31 - 1)),
     "ExactLog2E": Flag("A log2(e) of more bits is used.", any_logit(lambda product, shift: nearest(
         product // 47274 * LOG2_E_32, shift - 17) != nearest(product, shift))),
     "NaturalLogits": Flag("The factor log2(e) is left out.", any_logit(lambda product, shift: nearest(
         product // 47274 << 15, shift) != nearest(product, shift)))},
    [logits_case(f"exponent {exponent}", [EDGE_LOGITS], exponent) for exponent in range(-41, 42)]
    + [logits_case(f"zeros, exponent {exponent}", [[0, 0], [0, 0]], exponent) for exponent in (-40, 0, 40)])


# Powers of two.

def exp2_of(inputs, parameters):
    u = int64(inputs["u"])
    return {"distance": (u.max(axis=1, keepdims=True) - u).tolist(), "terms": loss.exp2_terms(u).tolist()}


def any_distance(bug):
    return lambda i, p, e: any(bug(d) for d in flat(e["distance"]))


def has_fraction(distance):
    return distance % ONE != 0


def whole(distance):
    return -(-distance // ONE)


def u_case(comment, u, *flags):
    return Case(comment, {"u": u}, {}, flags)


def below(*distances):
    """A row of u whose maximum is 0."""
    return [0, *(-d for d in distances)]


EXP2_TERMS = Op(
    "2^-distance in units of 2^-30, distance = the row's maximum - u in units of 2^-22. With whole = "
    "distance rounded up to an integer and f = whole - distance in units of 2^-30: (2^30 + ((f * p(f)) >> "
    "30)) >> whole, 0 from whole = 32 on. p by Horner's rule from the last coefficient, each product shifted "
    "right by 30: coefficients, from f^0, "
    + ", ".join(map(str, loss.EXP2_COEFFICIENTS)) + ". 64-bit.",
    exp2_of,
    {"MaximumNotSubtracted": Flag("0 is taken for the maximum of every row, and 2^30 for every larger u.",
                                  lambda i, p, e: [max(0, -v) for v in flat(i["u"])] != flat(e["distance"])),
     "MaximumOfBatch": Flag("The maximum of the whole batch is subtracted.",
                            lambda i, p, e: len({max(row) for row in i["u"]}) > 1),
     "FractionNotComplemented": Flag("whole is rounded down and f = distance - whole.",
                                     any_distance(has_fraction)),
     "CoefficientsReversed": Flag("The coefficients are taken in the opposite order.",
                                  any_distance(has_fraction)),
     "HornerRounded": Flag("Products are rounded to nearest instead of truncated."),
     "Int32Product": Flag("Products are kept in 32 bits.", any_distance(has_fraction)),
     "ExactExp2": Flag("An exact 2^-distance is rounded to nearest, as from a library's exp2."),
     "Shift32": Flag("The shift by whole is taken modulo 32.",
                     any_distance(lambda d: whole(d) % 32 <= 30 < whole(d))),
     "Shift64": Flag("The shift by whole is taken modulo 64.",
                     any_distance(lambda d: whole(d) % 64 <= 30 < whole(d)))},
    [u_case("equal logits", [[5, 5, 5]]),
     u_case("one class", [[-ONE]]),
     u_case("whole distances", [below(*(k * ONE for k in range(1, 9)))]),
     u_case("whole distances where the term becomes 1 and then 0", [below(*(k * ONE for k in (29, 30, 31)))],
            "ExactExp2"),
     u_case("32, 33, 47", [below(*(k * ONE for k in (32, 33, 47)))]),
     u_case("63, 64, 65, 94, 96, 128", [below(*(k * ONE for k in (63, 64, 65, 94, 96, 128)))]),
     u_case("one unit from whole distances",
            [below(1, ONE - 1, ONE + 1, 2 * ONE - 1, 30 * ONE - 1, 30 * ONE + 1)],
            "HornerRounded", "ExactExp2"),
     u_case("halves and quarters", [below(ONE // 2, 3 * ONE // 2, ONE // 4, 3 * ONE // 4)], "HornerRounded",
            "ExactExp2"),
     u_case("sixteenths", [below(*(k * ONE // 16 for k in range(1, 16)))], "HornerRounded", "ExactExp2"),
     u_case("a maximum below 0", [[-3 * ONE - 77, -5 * ONE, -4 * ONE - 1]], "HornerRounded", "ExactExp2"),
     u_case("two rows with maxima of their own", [[ONE, 0], [12 * ONE, 11 * ONE + 12345]]),
     u_case("the largest distance there may be", [[127 * 47274 << 27, -127 * 47274 << 27]]),
     u_case("ten classes, batch 3", scaled(made_up(0, (3, 10)), 123457), "HornerRounded", "ExactExp2")])


def log2_of(inputs, parameters):
    return {"log2": loss.log2_sum(int64(inputs["totals"])).tolist()}


def total_case(comment, totals, *flags):
    return Case(comment, {"totals": totals}, {}, flags)


LOG2_SUM = Op(
    "log2(total / 2^30) in units of 2^-22, total >= 2^30. whole = bit_width(total) - 31, x = total >> whole, "
    "t = ((x - 2^30) * 2^30) / (x + 2^30) rounded down; log2 = whole * 2^22 + (((t * p((t * t) >> 30)) >> "
    "30) >> 8). p by Horner's rule from the last coefficient, each product shifted right by 30: "
    "coefficients, from t^0, "
    + ", ".join(map(str, loss.LOG2_COEFFICIENTS)) + ". 64-bit.",
    log2_of,
    {"WidthAtPowerOfTwo": Flag("whole is one less where total is a power of two."),
     "WholeForgotten": Flag("Only the fraction is given.",
                            lambda i, p, e: any(v >= 2**31 for v in i["totals"])),
     "DivisionRounded": Flag("t is rounded to nearest."),
     "HornerRounded": Flag("Products are rounded to nearest instead of truncated."),
     "CoefficientsReversed": Flag("The coefficients are taken in the opposite order."),
     "ExactLog2": Flag("An exact logarithm is rounded to nearest, as from a library's log2.")},
    [total_case("1", [2**30]),
     total_case("just above 1", [2**30 + 1, 2**30 + 2, 2**30 + 1000], "CoefficientsReversed", "ExactLog2"),
     total_case("just below 2", [2**31 - 1], "CoefficientsReversed", "ExactLog2"),
     total_case("2", [2**31], "WidthAtPowerOfTwo"),
     total_case("powers of two", [2**b for b in range(32, 40)], "WidthAtPowerOfTwo"),
     total_case("a unit above powers of two", [2**b + 1 for b in range(31, 40)]),
     total_case("a unit below powers of two", [2**b - 1 for b in range(32, 40)], "CoefficientsReversed",
                "ExactLog2"),
     total_case("ten equal terms", [10 * 2**30], "CoefficientsReversed"),
     total_case("a thousand equal terms", [1000 * 2**30], "CoefficientsReversed", "ExactLog2"),
     total_case("1.5 and 1.25", [3 * 2**29, 5 * 2**28], "CoefficientsReversed", "ExactLog2"),
     total_case("over the octave", [2**30 + k * 2**26 + 12345 for k in range(16)], "CoefficientsReversed",
                "ExactLog2"),
     total_case("where a rounded t shows", [5835837043, 4866239050, 1126004440], "DivisionRounded",
                "CoefficientsReversed", "ExactLog2"),
     total_case("where rounded products show", [9272339455, 2648383179, 1332261100], "HornerRounded",
                "CoefficientsReversed", "ExactLog2")])


OPS = {"base2_logits": BASE2_LOGITS, "exp2_terms": EXP2_TERMS, "log2_sum": LOG2_SUM}
