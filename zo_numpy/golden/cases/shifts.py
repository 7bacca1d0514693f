"""Golden cases of the two shifts that round: to nearest, and by the bits dropped."""
import struct

from ...int8 import arith
from .common import Case, Flag, Op, int32

LARGEST = arith.MAX_TERMS * 127**2    # the largest accumulator there may be


def float32(value):
    """An int rounded to the 24 significant bits of a float32, as an int."""
    return int(struct.unpack("<f", struct.pack("<f", value))[0])


def split(value, shift):
    """(quotient, the bits dropped) of a magnitude."""
    return abs(value) >> shift, abs(value) % 2**shift


def is_tie(value, shift):
    return shift > 0 and split(value, shift)[1] == 1 << (shift - 1)


def any_value(bug):
    """The predicate of a bug that changes single values: bug(value, shift)."""
    def shows(inputs, parameters, expected):
        return any(bug(value, parameters["shift"]) for value in inputs["values"])
    return shows


def shift_cases(remainders, largest):
    """For every shift 0..30 and both signs: several quotients, with each kind of remainder."""
    for shift in range(31):
        kinds = remainders(shift) if shift else {"anything": [0]}
        for kind, dropped in kinds.items():
            if dropped in [kinds[other] for other in list(kinds)[:list(kinds).index(kind)]]:
                continue   # for small shifts, two kinds can be the same numbers
            magnitudes = sorted({(q << shift) + r for q in (0, 1, 2, 3, 6, 127, 128) for r in dropped
                                 if (q << shift) + r <= largest(shift)})
            if shift == 0:
                magnitudes = [0, 1, 2, 127, 128, 2**30 + 1, largest(0)]
            for name, sign in (("positive", 1), ("negative", -1)):
                yield Case(f"shift {shift}, {name}, {kind}", {"values": [sign * m for m in magnitudes]},
                           {"shift": shift})


def round_shift_of(inputs, parameters):
    return {"result": arith.round_shift(int32(inputs["values"]), parameters["shift"]).tolist()}


def nearest_remainders(shift):
    half, whole = 1 << (shift - 1), 1 << shift
    return {"multiples": [0],
            **({"below a tie": sorted({1, half - 1} - {0})} if half > 1 else {}),
            "ties": [half],
            **({"above a tie": sorted({half + 1, whole - 1})} if half > 1 else {})}


ROUND_SHIFT = Op(
    "values / 2^shift rounded to nearest, half away from zero: sgn(v) * ((|v| + 2^(shift - 1)) >> shift); a "
    "shift of 0 changes nothing. Values are 32-bit and |v| + 2^(shift - 1) < 2^31.",
    round_shift_of,
    {"FloorNotTruncate": Flag("(v + 2^(shift - 1)) >> shift on the signed value: negative ties go up.",
                              any_value(lambda v, s: v < 0 and is_tie(v, s))),
     "HalfAddedToNegative": Flag("(v + 2^(shift - 1)) / 2^shift with a division that truncates: negatives "
                                 "lose one.",
                                 any_value(lambda v, s: s > 0 and -v >= 1 << (s - 1))),
     "Truncated": Flag("The bits dropped are ignored.",
                       any_value(lambda v, s: s > 0 and split(v, s)[1] >= 1 << (s - 1))),
     "TieDown": Flag("Ties go towards zero.", any_value(is_tie)),
     "TieToEven": Flag("Ties go to the even neighbour.",
                       any_value(lambda v, s: is_tie(v, s) and split(v, s)[0] % 2 == 0)),
     "ShiftZero": Flag("A half is added for a shift of 0 too: 1 << max(shift - 1, 0).",
                       any_value(lambda v, s: s == 0)),
     "ThroughFloat32": Flag("The division is made on 32-bit floats, which hold 24 bits.", any_value(
         lambda v, s: arith.round_shift(int32([v]), s)[0] != nearest_float32(v, s)))},
    list(shift_cases(nearest_remainders, lambda shift: min(LARGEST, 2**31 - 1 - (1 << shift >> 1))))
    + [Case(f"shift {shift}, more than 24 significant bits",
            {"values": [s * v for v in (2**24 + 1, 2**25 + 2**(shift - 1) - 1, 2**30 + 2**(shift - 1) - 1,
                                        2**30 + 3 * 2**(shift - 1)) for s in (1, -1)]}, {"shift": shift})
       for shift in range(1, 8)])


def nearest_float32(value, shift):
    magnitude = float32(abs(value))
    rounded = magnitude if shift == 0 else (magnitude >> shift) + ((magnitude >> (shift - 1)) & 1)
    return -rounded if value < 0 else rounded


def pseudo_shift_of(inputs, parameters):
    return {"result": arith.pseudo_stochastic_shift(int32(inputs["values"]), parameters["shift"]).tolist()}


def halves(value, shift):
    """(high, low) of the bits dropped, low not yet doubled."""
    dropped = split(value, shift)[1]
    return dropped >> (shift // 2), dropped % (1 << (shift // 2))


def rounds_up(value, shift):
    high, low = halves(value, shift)
    return high > (2 * low if shift % 2 else low)


def rounds_up_in_twos_complement(value, shift):
    """The magnitude that floor and two's-complement bits give for a negative value."""
    quotient, dropped = split(value, shift)
    return quotient if dropped == 0 else quotient + 1 - rounds_up((1 << shift) - dropped, shift)


def odd_split_the_other_way(value, shift):
    dropped = split(value, shift)[1]
    bits = (shift + 1) // 2
    return 2 * (dropped >> bits) > dropped % (1 << bits)


def pseudo_remainders(shift):
    bits, low = shift // 2, 1 << (shift // 2)
    rest = sorted({low - 1, (low + 1) // 2, low // 3} - {0})
    return {"multiples": [0],
            "high alone": sorted({1 << bits, ((1 << (shift - bits)) - 1) << bits}),
            **({"low alone": rest} if rest else {}),
            **({"halves equal": sorted({(v << bits) | v for v in (1, low // 2 + 1, low - 1)})} if bits > 1
               else {}),
            **({"halves one apart": sorted({(v + 1 << bits) | v for v in (1, low // 2) if v + 1 < low}
                                           | {(v << bits) | (v + 1) for v in (1, low // 2) if v + 1 < low})}
               if bits > 1 else {}),
            "all bits": [(1 << shift) - 1]}


PSEUDO_SHIFT = Op(
    "values / 2^shift rounded by the bits dropped: of |v|, q = |v| >> shift and r the rest; high = r >> "
    "(shift / 2), low = r mod 2^(shift / 2) (halves rounded down), low doubled if shift is odd; sgn(v) * (q "
    "+ 1 if high > low, else q); a shift of 0 changes nothing.",
    pseudo_shift_of,
    {"FloorNotTruncate": Flag("The signed value is shifted and masked in two's complement.", any_value(
        lambda v, s: v < 0 and rounds_up_in_twos_complement(v, s) != split(v, s)[0] + rounds_up(v, s))),
     "OddShift": Flag("low is not doubled for an odd shift.", any_value(
         lambda v, s: s % 2 == 1 and (halves(v, s)[0] > halves(v, s)[1]) != rounds_up(v, s))),
     "OddBitToLow": Flag("For an odd shift the extra bit goes to low, and high is doubled.", any_value(
         lambda v, s: s % 2 == 1 and odd_split_the_other_way(v, s) != rounds_up(v, s))),
     "GreaterEqual": Flag("It is rounded up where high equals low.", any_value(
         lambda v, s: halves(v, s)[0] == halves(v, s)[1] * (1 + s % 2) and s > 0)),
     "HalvesSwapped": Flag("It is rounded up where low is the larger.", any_value(
         lambda v, s: s > 0 and halves(v, s)[0] != halves(v, s)[1] * (1 + s % 2))),
     "Truncated": Flag("It is never rounded up.", any_value(rounds_up)),
     "RoundedToNearest": Flag("round_shift is used.", any_value(
         lambda v, s: s > 0 and rounds_up(v, s) != (split(v, s)[1] >= 1 << (s - 1))))},
    list(shift_cases(pseudo_remainders, lambda shift: LARGEST)))


OPS = {"round_shift": ROUND_SHIFT, "pseudo_stochastic_shift": PSEUDO_SHIFT}
