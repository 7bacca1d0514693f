"""Golden cases of the integer arithmetic: pixels, widths, the two shifts that round, requantisation."""
import struct

from ..int8 import arith
from ..int8.arith import MAX_TERMS
from .cases_common import (Case, Flag, Op, filled, flat, int32, listed, made_up, scaled, uint8)

LARGEST = MAX_TERMS * 127**2          # the largest accumulator there may be


def pixels_of(inputs, parameters):
    return listed(arith.from_pixels(uint8(inputs["pixels"])))


PIXELS = Op(
    "The network's input from unsigned 8-bit pixels: data = pixel >> 1, exponent -7.",
    pixels_of,
    {"SignedPixels": Flag("Pixels are read as signed 8-bit numbers.", lambda i, p, e: max(flat(i["pixels"])) > 127),
     "Centred": Flag("128 is subtracted instead of halving.", lambda i, p, e: any(
         v - 128 != v >> 1 for v in flat(i["pixels"]))),
     "Rounded": Flag("Halves are rounded up.", lambda i, p, e: any(v % 2 for v in flat(i["pixels"])))},
    [Case("even values below 128", {"pixels": [[[[0, 2, 64, 126]]]]}),
     Case("odd values below 128", {"pixels": [[[[1, 3, 127]]]]}),
     Case("from 128 on", {"pixels": [[[[128, 130], [254, 192]]]]}),
     Case("255", {"pixels": [[[[255]]]]}),
     Case("two images", {"pixels": [[[[10, 200], [33, 0]]], [[[255, 255], [7, 129]]]]})])


def bit_width_of(inputs, parameters):
    return {"width": arith.bit_width(parameters["magnitude"])}


def float32(value):
    """An int rounded to the 24 significant bits of a float32, as an int."""
    return int(struct.unpack("<f", struct.pack("<f", value))[0])


BIT_WIDTH = Op(
    "The bits that a magnitude needs: 0 for 0, else the position of its highest set bit, counted from 1.",
    bit_width_of,
    {"WidthAtPowerOfTwo": Flag("ceil(log2(m)) is computed: one too few at powers of two.",
                               lambda i, p, e: p["magnitude"] in (2**b for b in range(31))),
     "FloatLog2": Flag("The width is read off a 32-bit float, which rounds up just below large powers of two.",
                       lambda i, p, e: float32(p["magnitude"]).bit_length() != e["width"]),
     "FloorLog2": Flag("The index of the highest bit is given, counted from 0.", lambda i, p, e: p["magnitude"] > 0),
     "WidthOfZero": Flag("The width of 0 comes out as 1.", lambda i, p, e: p["magnitude"] == 0)},
    [Case(str(m), {}, {"magnitude": m}) for m in
     sorted({0, 3, 5, 100, LARGEST, 2**31 - 1, *(2**b + d for b in range(31) for d in (-1, 0, 1) if 2**b + d > 0)})])


# The shifts.

def split(value, shift):
    """(quotient, the bits dropped) of a magnitude."""
    return abs(value) >> shift, abs(value) % 2**shift


def any_value(bug):
    """The predicate of a bug that changes single values: bug(value, shift)."""
    def shows(inputs, parameters, expected):
        return any(bug(value, parameters["shift"]) for value in inputs["values"])
    return shows


def is_tie(value, shift):
    return shift > 0 and split(value, shift)[1] == 1 << (shift - 1)


def shift_cases(remainders, largest):
    """For every shift 0..30 and both signs: multiples of 2^shift, and quotients with each class of remainders."""
    for shift in range(31):
        kinds = remainders(shift) if shift else {"anything": [0]}
        for kind, dropped in kinds.items():
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
    "values / 2^shift rounded to nearest, half away from zero: sgn(v) * ((|v| + 2^(shift - 1)) >> shift); a shift of 0 "
    "changes nothing. Values are 32-bit and |v| + 2^(shift - 1) < 2^31.",
    round_shift_of,
    {"FloorNotTruncate": Flag("(v + 2^(shift - 1)) >> shift on the signed value: negative ties go up.",
                              any_value(lambda v, s: v < 0 and is_tie(v, s))),
     "HalfAddedToNegative": Flag("(v + 2^(shift - 1)) / 2^shift with a division that truncates: negatives lose one.",
                                 any_value(lambda v, s: s > 0 and -v >= 1 << (s - 1))),
     "Truncated": Flag("The bits dropped are ignored.",
                       any_value(lambda v, s: s > 0 and split(v, s)[1] >= 1 << (s - 1))),
     "TieDown": Flag("Ties go towards zero.", any_value(is_tie)),
     "TieToEven": Flag("Ties go to the even neighbour.",
                       any_value(lambda v, s: is_tie(v, s) and split(v, s)[0] % 2 == 0)),
     "ShiftZero": Flag("A half is added for a shift of 0 too: 1 << max(shift - 1, 0).", any_value(lambda v, s: s == 0)),
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
            **({"halves equal": sorted({(v << bits) | v for v in (1, low // 2 + 1, low - 1)})} if bits > 1 else {}),
            **({"halves one apart": sorted({(v + 1 << bits) | v for v in (1, low // 2) if v + 1 < low}
                                           | {(v << bits) | (v + 1) for v in (1, low // 2) if v + 1 < low})}
               if bits > 1 else {}),
            "all bits": [(1 << shift) - 1]}


PSEUDO_SHIFT = Op(
    "values / 2^shift rounded by the bits dropped: of |v|, q = |v| >> shift and r the rest; high = r >> (shift / 2), "
    "low = r mod 2^(shift / 2) (halves rounded down), low doubled if shift is odd; sgn(v) * (q + 1 if high > low, "
    "else q); a shift of 0 changes nothing.",
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


# Requantisation.

def requantise_of(inputs, parameters):
    accumulator = int32(inputs["accumulator"])
    return {"maximum": arith.max_abs(accumulator), "shift": arith.requantise_shift(accumulator),
            **listed(arith.requantise(accumulator, parameters["exponent"]))}


def reaches(quotient):
    """Whether rounding gives `quotient` before clipping; as predicates of the values below see it."""
    return lambda v, s: abs(int(arith.round_shift(int32([v]), s)[0])) == quotient


def any_element(bug):
    def shows(inputs, parameters, expected):
        return any(bug(v, expected["shift"]) for v in flat(inputs["accumulator"]))
    return shows


def requantise_cases():
    for bits in range(6, 31):
        for largest in (2**bits - 1, 2**bits, 2**bits + 1):
            shift = max(0, largest.bit_length() - 7)
            if largest > LARGEST:
                continue
            ties = sorted({m for m in (1 << shift >> 1, 3 << shift >> 1, 4 << shift >> 1, (1 << shift) - 1) if m})
            for name, sign in (("positive", 1), ("negative", -1)):
                yield Case(f"largest magnitude {largest}, {name}; ties of the other sign",
                           {"accumulator": [sign * largest, 0, sign, *(-sign * m for m in ties)]}, {"exponent": -9})


REQUANTISE = Op(
    "An int32 accumulator brought to int8: maximum = the largest magnitude of the whole tensor, shift = max(0, "
    "bit_width(maximum) - 7), data = round_shift(accumulator, shift) clipped to +-127, exponent grows by shift.",
    requantise_of,
    {"WidthAtPowerOfTwo": Flag("The width is ceil(log2(maximum)): one too few at powers of two.",
                               lambda i, p, e: e["maximum"] in (2**b for b in range(7, 31))),
     "FloatLog2": Flag("The width is read off a 32-bit float, which rounds up just below large powers of two.",
                       lambda i, p, e: float32(e["maximum"]).bit_length() != e["maximum"].bit_length()),
     "MaximumWithoutAbs": Flag("The maximum is that of the signed values.",
                               lambda i, p, e: max(flat(i["accumulator"])) < e["maximum"]),
     "MaximumOfEachSample": Flag("Each row has its own maximum and shift."),
     "Minus128": Flag("Data is clipped to -128..127.",
                      any_element(lambda v, s: v < 0 and reaches(128)(v, s))),
     "WrappedInt8": Flag("Data is not clipped: 128 becomes -128.", any_element(reaches(128))),
     "FloorNotTruncate": Flag("Rounding is (v + 2^(shift - 1)) >> shift on the signed value.", any_element(
         lambda v, s: v < 0 and is_tie(v, s) and not reaches(128)(v, s))),
     "TieDown": Flag("Ties go towards zero.", any_element(lambda v, s: is_tie(v, s) and not reaches(128)(v, s))),
     "TieToEven": Flag("Ties go to the even neighbour.",
                       any_element(lambda v, s: is_tie(v, s) and split(v, s)[0] % 2 == 0)),
     "ShiftedTo8Bits": Flag("The shift is bit_width(maximum) - 8, the sign bit counted as one of eight.",
                            lambda i, p, e: e["maximum"] >= 128),
     "NegativeShift": Flag("A small tensor is scaled up to 7 bits.", lambda i, p, e: 0 < e["maximum"] < 64),
     "ZeroTensor": Flag("A tensor of zeros gets the exponent 0.",
                        lambda i, p, e: e["maximum"] == 0 and p["exponent"] != 0),
     "ExponentSubtracted": Flag("The exponent shrinks by the shift.", lambda i, p, e: e["shift"] > 0),
     "ExponentKept": Flag("The exponent is left as it was.", lambda i, p, e: e["shift"] > 0)},
    list(requantise_cases())
    + [Case("zeros", {"accumulator": filled(0, (2, 3))}, {"exponent": -9}),
       Case("zeros, exponent 0", {"accumulator": [0]}, {"exponent": 0}),
       Case("all at 127: no shift", {"accumulator": filled(127, (2, 2))}, {"exponent": 3}),
       Case("all at -127: no shift", {"accumulator": filled(-127, (2, 2))}, {"exponent": -30}),
       Case("small numbers are left as they are", {"accumulator": [[1, -2], [3, 0]]}, {"exponent": -9}),
       Case("255 and -255 round to 128 and are clipped", {"accumulator": [[255, -255], [254, -253]]}, {"exponent": 0}),
       Case("the largest accumulator there may be", {"accumulator": [LARGEST, -LARGEST, 1]}, {"exponent": -18}),
       Case("rows of very different size share one shift", {"accumulator": [[1000, -2000, 3], [5, -6, 7]]},
            {"exponent": -14}, ("MaximumOfEachSample",)),
       Case("a batch of three images", {"accumulator": scaled(made_up(0, (3, 2, 2, 3)), 321)}, {"exponent": -16}),
       Case("one row, one column", {"accumulator": [[-12345]]}, {"exponent": -20})])


OPS = {"from_pixels": PIXELS, "bit_width": BIT_WIDTH, "round_shift": ROUND_SHIFT,
       "pseudo_stochastic_shift": PSEUDO_SHIFT, "requantise": REQUANTISE}
