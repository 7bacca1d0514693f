"""Golden cases of the arithmetic: the two shifts that round, pixels, widths, an accumulator brought back to int8."""
from ...int8 import arith
from .common import Case, Op, filled, int32, listed, made_up, scaled, uint8

LARGEST = arith.MAX_TERMS * 127**2    # the largest accumulator there may be


def _shift_cases(remainders, largest):
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


def _round_shift_of(inputs, parameters):
    return {"result": arith.round_shift(int32(inputs["values"]), parameters["shift"]).tolist()}


def _nearest_remainders(shift):
    half, whole = 1 << (shift - 1), 1 << shift
    return {"multiples": [0],
            **({"below a tie": sorted({1, half - 1} - {0})} if half > 1 else {}),
            "ties": [half],
            **({"above a tie": sorted({half + 1, whole - 1})} if half > 1 else {})}


ROUND_SHIFT = Op(
    "values / 2^shift rounded to nearest, half away from zero: sgn(v) * ((|v| + 2^(shift - 1)) >> shift); a shift "
    "of 0 changes nothing. Values are 32-bit and |v| + 2^(shift - 1) < 2^31.",
    _round_shift_of,
    {"FloorNotTruncate": "(v + 2^(shift - 1)) >> shift on the signed value: negative ties go up.",
     "HalfAddedToNegative": "(v + 2^(shift - 1)) / 2^shift with a division that truncates: negatives lose one.",
     "Truncated": "The bits dropped are ignored.",
     "TieDown": "Ties go towards zero.",
     "TieToEven": "Ties go to the even neighbour.",
     "ShiftZero": "A half is added for a shift of 0 too: 1 << max(shift - 1, 0).",
     "ThroughFloat32": "The division is made on 32-bit floats, which hold 24 bits."},
    list(_shift_cases(_nearest_remainders, lambda shift: min(LARGEST, 2**31 - 1 - (1 << shift >> 1))))
    + [Case(f"shift {shift}, more than 24 significant bits",
            {"values": [s * v for v in (2**24 + 1, 2**25 + 2**(shift - 1) - 1, 2**30 + 2**(shift - 1) - 1,
                                        2**30 + 3 * 2**(shift - 1)) for s in (1, -1)]}, {"shift": shift})
       for shift in range(1, 8)])


def _pseudo_shift_of(inputs, parameters):
    return {"result": arith.pseudo_stochastic_shift(int32(inputs["values"]), parameters["shift"]).tolist()}


def _pseudo_remainders(shift):
    bits, low = shift // 2, 1 << (shift // 2)
    rest = sorted({low - 1, (low + 1) // 2, low // 3} - {0})
    return {"multiples": [0],
            "high alone": sorted({1 << bits, ((1 << (shift - bits)) - 1) << bits}),
            **({"low alone": rest} if rest else {}),
            **({"halves equal": sorted({(v << bits) | v for v in (1, low // 2 + 1, low - 1)}),
                "halves one apart": sorted({pair for v in (1, low // 2) if v + 1 < low
                                            for pair in ((v + 1 << bits) | v, (v << bits) | (v + 1))})}
               if bits > 1 else {}),
            "all bits": [(1 << shift) - 1]}


PSEUDO_SHIFT = Op(
    "values / 2^shift rounded by the bits dropped: of |v|, q = |v| >> shift and r the rest; high = r >> (shift / "
    "2), low = r mod 2^(shift / 2) (halves rounded down), low doubled if shift is odd; sgn(v) * (q + 1 if high > "
    "low, else q); a shift of 0 changes nothing.",
    _pseudo_shift_of,
    {"FloorNotTruncate": "The signed value is shifted and masked in two's complement.",
     "OddShift": "low is not doubled for an odd shift.",
     "OddBitToLow": "For an odd shift the extra bit goes to low, and high is doubled.",
     "GreaterEqual": "It is rounded up where high equals low.",
     "HalvesSwapped": "It is rounded up where low is the larger.",
     "Truncated": "It is never rounded up.",
     "RoundedToNearest": "round_shift is used."},
    list(_shift_cases(_pseudo_remainders, lambda shift: LARGEST)))


def _pixels_of(inputs, parameters):
    return listed(arith.from_pixels(uint8(inputs["pixels"])))


PIXELS = Op(
    "The network's input from unsigned 8-bit pixels: data = pixel >> 1, exponent -7.",
    _pixels_of,
    {"SignedPixels": "Pixels are read as signed 8-bit numbers.",
     "Centred": "128 is subtracted instead of halving.",
     "Rounded": "Halves are rounded up."},
    [Case("even values below 128", {"pixels": [[[[0, 2, 64, 126]]]]}),
     Case("odd values below 128", {"pixels": [[[[1, 3, 127]]]]}),
     Case("from 128 on", {"pixels": [[[[128, 130], [254, 192]]]]}),
     Case("255", {"pixels": [[[[255]]]]}),
     Case("two images", {"pixels": [[[[10, 200], [33, 0]]], [[[255, 255], [7, 129]]]]})])


def _bit_width_of(inputs, parameters):
    return {"width": arith.bit_width(parameters["magnitude"])}


BIT_WIDTH = Op(
    "The bits that a magnitude needs: 0 for 0, else the position of its highest set bit, counted from 1.",
    _bit_width_of,
    {"WidthAtPowerOfTwo": "ceil(log2(m)) is computed: one too few at powers of two.",
     "FloatLog2": "The width is read off a 32-bit float, which rounds up just below large powers of two.",
     "FloorLog2": "The index of the highest bit is given, counted from 0.",
     "WidthOfZero": "The width of 0 comes out as 1."},
    [Case(str(m), {}, {"magnitude": m}) for m in
     sorted({0, 3, 5, 100, LARGEST, 2**31 - 1, *(2**b + d for b in range(31) for d in (-1, 0, 1))})])


def _requantise_of(inputs, parameters):
    accumulator = int32(inputs["accumulator"])
    return {"maximum": arith.max_abs(accumulator), "shift": arith.requantise_shift(accumulator),
            **listed(arith.requantise(accumulator, parameters["exponent"]))}


def _requantise_cases():
    for bits in range(6, 31):
        for largest in (2**bits - 1, 2**bits, 2**bits + 1):
            shift = max(0, largest.bit_length() - 7)
            if largest > LARGEST:
                continue
            ties = sorted({1 << shift >> 1, 3 << shift >> 1, 4 << shift >> 1, (1 << shift) - 1} - {0})
            for name, sign in (("positive", 1), ("negative", -1)):
                yield Case(f"largest magnitude {largest}, {name}; ties of the other sign",
                           {"accumulator": [sign * largest, 0, sign, *(-sign * m for m in ties)]}, {"exponent": -9})


REQUANTISE = Op(
    "An int32 accumulator brought to int8: maximum = the largest magnitude of the whole tensor, shift = max(0, "
    "bit_width(maximum) - 7), data = round_shift(accumulator, shift) clipped to +-127, exponent grows by shift.",
    _requantise_of,
    {"WidthAtPowerOfTwo": "The width is ceil(log2(maximum)): one too few at powers of two.",
     "FloatLog2": "The width is read off a 32-bit float, which rounds up just below large powers of two.",
     "MaximumWithoutAbs": "The maximum is that of the signed values.",
     "MaximumOfEachSample": "Each row has its own maximum and shift.",
     "Minus128": "Data is clipped to -128..127.",
     "WrappedInt8": "Data is not clipped: 128 becomes -128.",
     "FloorNotTruncate": "Rounding is (v + 2^(shift - 1)) >> shift on the signed value.",
     "TieDown": "Ties go towards zero.",
     "TieToEven": "Ties go to the even neighbour.",
     "ShiftedTo8Bits": "The shift is bit_width(maximum) - 8, the sign bit counted as one of eight.",
     "NegativeShift": "A small tensor is scaled up to 7 bits.",
     "ZeroTensor": "A tensor of zeros gets the exponent 0.",
     "ExponentSubtracted": "The exponent shrinks by the shift.",
     "ExponentKept": "The exponent is left as it was."},
    list(_requantise_cases())
    + [Case("zeros", {"accumulator": filled(0, (2, 3))}, {"exponent": -9}),
       Case("zeros, exponent 0", {"accumulator": [0]}, {"exponent": 0}),
       Case("all at 127: no shift", {"accumulator": filled(127, (2, 2))}, {"exponent": 3}),
       Case("all at -127: no shift", {"accumulator": filled(-127, (2, 2))}, {"exponent": -30}),
       Case("small numbers are left as they are", {"accumulator": [[1, -2], [3, 0]]}, {"exponent": -9}),
       Case("255 and -255 round to 128 and are clipped", {"accumulator": [[255, -255], [254, -253]]},
            {"exponent": 0}),
       Case("the largest accumulator there may be", {"accumulator": [LARGEST, -LARGEST, 1]}, {"exponent": -18}),
       Case("rows of very different size share one shift", {"accumulator": [[1000, -2000, 3], [5, -6, 7]]},
            {"exponent": -14}),
       Case("a batch of three images", {"accumulator": scaled(made_up(0, (3, 2, 2, 3)), 321)}, {"exponent": -16}),
       Case("one row, one column", {"accumulator": [[-12345]]}, {"exponent": -20})])


OPS = {"round_shift": ROUND_SHIFT, "pseudo_stochastic_shift": PSEUDO_SHIFT, "from_pixels": PIXELS,
       "bit_width": BIT_WIDTH, "requantise": REQUANTISE}
