"""Golden cases of the random numbers: Philox, its words and half-words, and initial weights."""
import numpy as np

from ... import models, rng
from ...int8.arith import INT8_MAX
from ...int8.draws import init_weights, uniform_int8
from .common import Case, Op, listed

ADDRESS = ("seed", "stream", "step", "tensor", "query")


def _philox_block(inputs, parameters):
    before = (sum(c << (64 * i) for i, c in enumerate(inputs["counter"])) - 1) % 2**256
    start = np.array([(before >> (64 * i)) % 2**64 for i in range(4)], np.uint64)   # NumPy adds one again
    key = np.array(inputs["key"], np.uint64)
    return {"block": np.random.Philox(key=key, counter=start).random_raw(4).tolist()}


PHILOX = Op(
    "One block of Philox4x64-10: four 64-bit words of a counter of four 64-bit words and a key of two, each listed "
    "least significant first. The first three cases are published known answers of Random123. All numbers are "
    "unsigned and use all 64 bits.",
    _philox_block,
    {"RoundMissing": "Nine rounds are made instead of ten.",
     "KeyBumpedFirst": "The key is bumped before the first round too, not only between rounds.",
     "MultipliersSwapped": "The two round multipliers stand in each other's place.",
     "KeyConstantsSwapped": "The two constants that bump the key stand in each other's place.",
     "CarryLost": "The high half of a 64 x 64 bit product is put together from 32-bit products without the carry "
                  "out of its middle column.",
     "CounterReversed": "The counter's words are taken most significant first.",
     "KeyReversed": "The key's two words are swapped."},
    [Case(comment, {"counter": list(counter), "key": list(key)}) for comment, counter, key in (
        ("all zero", (0, 0, 0, 0), (0, 0)),
        ("all bits set", (2**64 - 1,) * 4, (2**64 - 1,) * 2),
        ("digits of pi", (0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89),
         (0x452821e638d01377, 0xbe5466cf34e90c6c)),
        ("the first block of seed 0, stream 0, step 0, tensor 0, query 0", (1, 0, 0, 0), (0, 0)),
        ("the second block of seed 7, stream 1, step 3, tensor 2, query 0", (2, 2, 3, 0), (7, 1)),
        ("counter 1, 1, 1, 1", (1, 1, 1, 1), (1, 1)),
        ("a high word alone", (0, 0, 0, 2**63), (0, 2**63)))])


def _address_case(comment, seed, stream, step, tensor, query, count):
    return Case(comment, {}, {**dict(zip(ADDRESS, (seed, stream, step, tensor, query))), "count": count})


ADDRESSES = [
    _address_case("the origin, one word", 0, 0, 0, 0, 0, 1),
    _address_case("the origin, two blocks", 0, 0, 0, 0, 0, 8),
    _address_case("another seed", 1, 0, 0, 0, 0, 4),
    _address_case("another stream", 0, 1, 0, 0, 0, 4),
    _address_case("another step", 0, 0, 1, 0, 0, 4),
    _address_case("another tensor", 0, 0, 0, 1, 0, 4),
    _address_case("another query", 0, 0, 0, 0, 1, 4),
    _address_case("everything another, an incomplete block", 5, 1, 1000, 4, 2, 7),
    _address_case("step and tensor equal", 3, 1, 2, 2, 0, 5),
    _address_case("seed and stream equal", 1, 1, 4, 0, 0, 3),
    _address_case("a seed and a step of more than 32 bits", 2**32 + 9, 1, 2**40 + 1, 3, 0, 6),
    _address_case("the largest seed", 2**64 - 1, 2, 7, 0, 0, 9),
]


def _words_of(inputs, parameters):
    return {"words": rng.words(*(parameters[name] for name in ADDRESS), parameters["count"]).tolist()}


WORDS = Op(
    "The first `count` words of a draw: words[i] is word i % 4 of the Philox block with key (seed, stream) and "
    "counter (1 + i // 4, tensor, step, query). All numbers are unsigned and use all 64 bits.",
    _words_of,
    {"CounterBump": "Blocks are counted from 0 instead of 1.",
     "WordOrder": "A block's four words are taken last first.",
     "BlockRepeated": "The block number stays at 1.",
     "OneWordPerBlock": "Only the first word of a block is used.",
     "KeyOrder": "The key is (stream, seed).",
     "CounterOrder": "Step and tensor are swapped in the counter.",
     "StreamIgnored": "The key's second word is always 0.",
     "StepIgnored": "The step's word of the counter is always 0.",
     "TensorIgnored": "The tensor's word of the counter is always 0.",
     "QueryIgnored": "The query's word of the counter is always 0.",
     "SeedTruncated": "The seed is kept in 32 bits.",
     "StepTruncated": "The step is kept in 32 bits."},
    ADDRESSES)


def _half_words_of(inputs, parameters):
    address = [parameters[name] for name in ADDRESS]
    return {"words": rng.words(*address, -(-parameters["count"] // 4)).tolist(),
            "half_words": rng.half_words(*address, parameters["count"]).tolist()}


HALF_WORDS = Op(
    "The first `count` 16-bit half-words of a draw: half_words[j] is (words[j // 4] >> (16 * (j % 4))) & 0xffff.",
    _half_words_of,
    {"HalfWordOrder": "A word's half-words are taken from its high end.",
     "ByteOrder": "A half-word's two bytes are swapped.",
     "SignExtended": "A half-word is read as a signed 16-bit number.",
     "OneHalfWordPerWord": "Only the low half-word of each word is used.",
     "PartialWordDropped": "The half-words of a last word that is not used up are missing."},
    [case._replace(comment=f"{case.comment.split(',')[0]}, {count} half-words",
                   parameters={**case.parameters, "count": count})
     for case, count in zip(ADDRESSES, (1, 4, 2, 3, 5, 15, 16, 17, 31, 33, 8, 64))])


def _uniform_of(inputs, parameters):
    seed, tensor, count, bound = (parameters[name] for name in ("seed", "tensor", "count", "bound"))
    return {"half_words": rng.half_words(seed, rng.INIT, 0, tensor, 0, count).tolist(),
            "data": uniform_int8(seed, tensor, count, bound).tolist()}


def _uniform_case(comment, seed, tensor, count, bound):
    return Case(comment, {}, {"seed": seed, "tensor": tensor, "count": count, "bound": bound})


UNIFORM = Op(
    "Initial weights: uniform integers in [-bound, bound], ((h * (2 bound + 1)) >> 16) - bound of each half-word h "
    "of the draw (seed, stream 0, step 0, tensor, query 0).",
    _uniform_of,
    {"ModuloInsteadOfScaling": "h % (2 bound + 1) - bound is computed.",
     "BoundExcluded": "h is scaled by 2 bound, so that bound itself never comes up.",
     "ProductIn16Bits": "The product is kept in 16 bits, so that its high part is lost.",
     "SignedHalfWord": "h is a signed 16-bit number.",
     "WrongStream": "Half-words of the perturbation's stream are used.",
     "TensorIgnored": "Every tensor starts from the words of tensor 0."},
    [_uniform_case(f"bound {bound}, tensor {tensor}", 0, tensor, 37, bound)
     for bound in (0, 1, 2, 3, 15, 31, 63, 127) for tensor in (0, 1, 4)]
    + [_uniform_case("element 2 has half-word 0: the lowest value", 447, 0, 8, 127),
       _uniform_case("element 0 has half-word 0: the lowest value", 20981, 0, 1, 63),
       _uniform_case("element 0 has half-word 65535: the highest value", 32048, 0, 1, 127),
       _uniform_case("element 4 has half-word 65535: the highest value", 34590, 0, 8, 31),
       _uniform_case("a seed of 64 bits", 2**64 - 2, 2, 10, 63)])


def weights_of(seed, shapes, headroom):
    """{name: QTensor} of a model with weights of these shapes, of four axes or two; names "0", "1", ..."""
    layers = tuple(models.Conv2d(str(i), shape[1], shape[0], shape[2], 0) if len(shape) == 4
                   else models.Linear(str(i), shape[1], shape[0]) for i, shape in enumerate(shapes))
    return init_weights(models.Model("", (), 0, layers), seed, {str(i): h for i, h in enumerate(headroom)})


def _init_exponent_of(inputs, parameters):
    fan_in, headroom = parameters["fan_in"], parameters["headroom"]
    exponent = weights_of(0, [[1, fan_in]], [headroom])["0"].exponent
    return {"bound": INT8_MAX >> headroom, "k": headroom - exponent, "exponent": exponent}


INIT_EXPONENT = Op(
    "The range and the exponent of initial weights: bound = 127 >> headroom, k the smallest integer with 12 * 4^k "
    ">= 127^2 * fan_in, exponent = headroom - k.",
    _init_exponent_of,
    {"RangeOf128": "128^2 stands for 127^2.",
     "LargestBelow": "k is the largest integer below the bound instead of the smallest above.",
     "HeadroomNotInExponent": "The exponent is -k whatever the headroom.",
     "HeadroomNotInBound": "The bound is 127 whatever the headroom.",
     "BoundOf128": "The bound is 128 >> headroom."},
    [Case(f"fan_in {fan_in}, headroom 1", {}, {"fan_in": fan_in, "headroom": 1})
     for fan_in in (1, 2, 3, 4, 12, 13, 25, 48, 49, 84, 120, 150, 192, 193, 194, 195, 196, 256, 512, 768, 769, 780,
                    781, 784, 1024, 3072, 3100, 3120, 3121)]
    + [Case(f"fan_in {fan_in}, headroom {headroom}", {}, {"fan_in": fan_in, "headroom": headroom})
       for headroom in (0, 2, 3, 4, 5, 6) for fan_in in (25, 784)])


def _initial(inputs, parameters):
    weights = weights_of(parameters["seed"], parameters["shapes"], parameters["headroom"])
    return {"weights": [listed(weight) for weight in weights.values()]}


INIT = Op(
    "The initial weights of a model, tensors in parameter order with indices 0, 1, ...: data as in uniform_int8 in "
    "C order over the shape, exponent as in init_exponent. Shapes are (C_out, C_in, k, k) and (out, in); fan_in is "
    "the product of all axes but the first.",
    _initial,
    {"FanInWithoutKernel": "fan_in of a convolution is its number of input channels.",
     "FanOut": "The first axis is taken for fan_in.",
     "TensorIgnored": "Every tensor starts from the words of tensor 0.",
     "OneStreamForAll": "A tensor goes on in the draw where the one before it ended.",
     "SeedIgnored": "The seed is always 0.",
     "FirstAxisFastest": "Elements are laid out with the first axis fastest (column-major)."},
    [Case(comment, {}, {"seed": seed, "shapes": shapes, "headroom": headroom})
     for comment, seed, shapes, headroom in (
        ("one element", 0, [[1, 1]], [0]),
        ("a row", 0, [[1, 9]], [1]),
        ("a column: fan_in 1", 3, [[9, 1]], [0]),
        ("a convolution", 0, [[2, 3, 3, 3]], [0]),
        ("another seed", 1, [[3, 5]], [2]),
        ("five tensors, a small LeNet", 12, [[2, 1, 3, 3], [3, 2, 3, 3], [6, 12], [5, 6], [3, 5]],
         [0, 1, 2, 3, 6]))])


OPS = {"philox4x64_10": PHILOX, "words": WORDS, "half_words": HALF_WORDS, "uniform_int8": UNIFORM,
       "init_exponent": INIT_EXPONENT, "init_weights": INIT}
