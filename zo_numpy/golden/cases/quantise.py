"""Golden cases of quantisation: pixels, the width of a magnitude, an accumulator brought back to int8."""
from ...int8 import arith
from .common import Case, Flag, Op, filled, flat, int32, listed, made_up, scaled, uint8
from .shifts import LARGEST, float32, is_tie, split


def pixels_of(inputs, parameters):
    return listed(arith.from_pixels(uint8(inputs["pixels"])))


PIXELS = Op(
    "The network's input from unsigned 8-bit pixels: data = pixel >> 1, exponent -7.",
    pixels_of,
    {"SignedPixels": Flag("Pixels are read as signed 8-bit numbers.",
                          lambda i, p, e: max(flat(i["pixels"])) > 127),
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


BIT_WIDTH = Op(
    "The bits that a magnitude needs: 0 for 0, else the position of its highest set bit, counted from 1.",
    bit_width_of,
    {"WidthAtPowerOfTwo": Flag("ceil(log2(m)) is computed: one too few at powers of two.",
                               lambda i, p, e: p["magnitude"] in (2**b for b in range(31))),
     "FloatLog2": Flag("The width is read off a 32-bit float, which rounds up just below large powers of "
                       "two.",
                       lambda i, p, e: float32(p["magnitude"]).bit_length() != e["width"]),
     "FloorLog2": Flag("The index of the highest bit is given, counted from 0.",
                       lambda i, p, e: p["magnitude"] > 0),
     "WidthOfZero": Flag("The width of 0 comes out as 1.", lambda i, p, e: p["magnitude"] == 0)},
    [Case(str(m), {}, {"magnitude": m}) for m in
     sorted({0, 3, 5, 100, LARGEST, 2**31 - 1, *(2**b + d for b in range(31) for d in (-1, 0, 1)
                                                 if 2**b + d > 0)})])


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
            ties = sorted({m for m in (1 << shift >> 1, 3 << shift >> 1, 4 << shift >> 1, (1 << shift) - 1)
                           if m})
            for name, sign in (("positive", 1), ("negative", -1)):
                yield Case(f"largest magnitude {largest}, {name}; ties of the other sign",
                           {"accumulator": [sign * largest, 0, sign, *(-sign * m for m in ties)]},
                           {"exponent": -9})


REQUANTISE = Op(
    "An int32 accumulator brought to int8: maximum = the largest magnitude of the whole tensor, shift = "
    "max(0, bit_width(maximum) - 7), data = round_shift(accumulator, shift) clipped to +-127, exponent grows "
    "by shift.",
    requantise_of,
    {"WidthAtPowerOfTwo": Flag("The width is ceil(log2(maximum)): one too few at powers of two.",
                               lambda i, p, e: e["maximum"] in (2**b for b in range(7, 31))),
     "FloatLog2": Flag("The width is read off a 32-bit float, which rounds up just below large powers of "
                       "two.",
                       lambda i, p, e: float32(e["maximum"]).bit_length() != e["maximum"].bit_length()),
     "MaximumWithoutAbs": Flag("The maximum is that of the signed values.",
                               lambda i, p, e: max(flat(i["accumulator"])) < e["maximum"]),
     "MaximumOfEachSample": Flag("Each row has its own maximum and shift."),
     "Minus128": Flag("Data is clipped to -128..127.",
                      any_element(lambda v, s: v < 0 and reaches(128)(v, s))),
     "WrappedInt8": Flag("Data is not clipped: 128 becomes -128.", any_element(reaches(128))),
     "FloorNotTruncate": Flag("Rounding is (v + 2^(shift - 1)) >> shift on the signed value.", any_element(
         lambda v, s: v < 0 and is_tie(v, s) and not reaches(128)(v, s))),
     "TieDown": Flag("Ties go towards zero.",
                     any_element(lambda v, s: is_tie(v, s) and not reaches(128)(v, s))),
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
       Case("255 and -255 round to 128 and are clipped", {"accumulator": [[255, -255], [254, -253]]},
            {"exponent": 0}),
       Case("the largest accumulator there may be", {"accumulator": [LARGEST, -LARGEST, 1]},
            {"exponent": -18}),
       Case("rows of very different size share one shift", {"accumulator": [[1000, -2000, 3], [5, -6, 7]]},
            {"exponent": -14}, ("MaximumOfEachSample",)),
       Case("a batch of three images", {"accumulator": scaled(made_up(0, (3, 2, 2, 3)), 321)},
            {"exponent": -16}),
       Case("one row, one column", {"accumulator": [[-12345]]}, {"exponent": -20})])


OPS = {"from_pixels": PIXELS, "bit_width": BIT_WIDTH, "requantise": REQUANTISE}
