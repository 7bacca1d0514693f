"""Ports with one bug each in what they draw: BUGS[op][flag], see bugs.py."""
import functools

import twins
from bugs_common import answering, misread, using, wrapped
from twins import MASK64

M0, M1, W0, W1 = 0xD2E7470EE14C6C93, 0xCA5A826395121157, 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B


def high_half(a, b):
    return (a * b) >> 64


def high_half_without_carry(a, b):
    a1, a0, b1, b0 = a >> 32, a % 2**32, b >> 32, b % 2**32
    return (a1 * b1 + (a1 * b0 >> 32) + (a0 * b1 >> 32)) & MASK64


def philox(counter, key, rounds=10, multipliers=(M0, M1), bumps=(W0, W1), bumped_first=False, high=high_half):
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for r in range(rounds):
        if r > 0 or bumped_first:
            k0, k1 = (k0 + bumps[0]) & MASK64, (k1 + bumps[1]) & MASK64
        m0, m1 = multipliers
        c0, c1, c2, c3 = (high(m1, c2) ^ c1 ^ k0, m1 * c2 & MASK64, high(m0, c0) ^ c3 ^ k1, m0 * c0 & MASK64)
    return c0, c1, c2, c3


def other_philox(**options):
    return using(philox4x64_10=functools.partial(philox, **options))


PHILOX = {
    "RoundMissing": other_philox(rounds=9),
    "KeyBumpedFirst": other_philox(bumped_first=True),
    "MultipliersSwapped": other_philox(multipliers=(M1, M0)),
    "KeyConstantsSwapped": other_philox(bumps=(W1, W0)),
    "CarryLost": other_philox(high=high_half_without_carry),
    "CounterReversed": misread(lambda i: {"counter": i["counter"][::-1]}),
    "KeyReversed": misread(lambda i: {"key": i["key"][::-1]})}


def addressed(change):
    """The bug of a port that draws another word, at change(seed, stream, step, tensor, query, i)."""
    right = twins.word
    return using(word=lambda *place: right(*change(*place)))


def blocks(place):
    """The bug of a port that takes word i of a draw from place(block, word): both from 0, by i."""
    def word(seed, stream, step, tensor, query, i):
        block, number = place(i)
        return twins.philox4x64_10((block, tensor, step, query), (seed, stream))[number]
    return using(word=word)


STREAM_IGNORED = addressed(lambda seed, stream, *rest: (seed, 0, *rest))
STEP_IGNORED = addressed(lambda seed, stream, step, *rest: (seed, stream, 0, *rest))
TENSOR_IGNORED = addressed(lambda seed, stream, step, tensor, *rest: (seed, stream, step, 0, *rest))
TENSOR_FROM_ONE = addressed(lambda seed, stream, step, tensor, *rest: (seed, stream, step, tensor + 1, *rest))
QUERY_IGNORED = addressed(lambda seed, stream, step, tensor, query, i: (seed, stream, step, tensor, 0, i))
SEED_IGNORED = addressed(lambda seed, *rest: (0, *rest))
COUNTER_BUMP = blocks(lambda i: (i // 4, i % 4))

WORDS = {
    "CounterBump": COUNTER_BUMP,
    "WordOrder": blocks(lambda i: (1 + i // 4, 3 - i % 4)),
    "BlockRepeated": blocks(lambda i: (1, i % 4)),
    "OneWordPerBlock": blocks(lambda i: (1 + i, 0)),
    "KeyOrder": addressed(lambda seed, stream, *rest: (stream, seed, *rest)),
    "CounterOrder": addressed(lambda seed, stream, step, tensor, *rest: (seed, stream, tensor, step, *rest)),
    "StreamIgnored": STREAM_IGNORED, "StepIgnored": STEP_IGNORED, "TensorIgnored": TENSOR_IGNORED,
    "QueryIgnored": QUERY_IGNORED,
    "SeedTruncated": misread(seed=lambda p: p["seed"] % 2**32),
    "StepTruncated": misread(step=lambda p: p["step"] % 2**32)}


def cut(place):
    """The bug of a port that takes half-word j from (word, bits to the right) = place(j)."""
    def half_word(seed, stream, step, tensor, query, j):
        i, shift = place(j)
        return (twins.word(seed, stream, step, tensor, query, i) >> shift) & 0xFFFF
    return using(half_word=half_word)


def each_half_word(change):
    return answering(half_words=lambda i, p, right: [change(h) for h in right["half_words"]])


HIGH_HALF_FIRST = cut(lambda j: (j // 4, 48 - 16 * (j % 4)))

HALF_WORDS = {
    "HalfWordOrder": HIGH_HALF_FIRST,
    "ByteOrder": each_half_word(lambda h: (h & 0xFF) << 8 | h >> 8),
    "SignExtended": each_half_word(lambda h: wrapped(h, 16)),
    "OneHalfWordPerWord": cut(lambda j: (j, 0)),
    "PartialWordDropped": answering(
        half_words=lambda i, p, right: right["half_words"][:p["count"] // 4 * 4])}


def each_weight(change):
    """The bug of a port that makes a weight of a half-word by change(h, bound)."""
    return answering(data=lambda i, p, right: [change(h, p["bound"]) for h in right["half_words"]])


def weights_of(bug):
    """A bug in drawing, which leaves the half-words that the case shows alone."""
    return lambda twin, i, p: {**twin(i, p), "data": bug(twin, i, p)["data"]}


UNIFORM = {
    "ModuloInsteadOfScaling": each_weight(lambda h, bound: h % (2 * bound + 1) - bound),
    "BoundExcluded": each_weight(lambda h, bound: (h * 2 * bound >> 16) - bound),
    "ProductIn16Bits": each_weight(lambda h, bound: (h * (2 * bound + 1) % 2**16 >> 16) - bound),
    "SignedHalfWord": each_weight(lambda h, bound: (wrapped(h, 16) * (2 * bound + 1) >> 16) - bound),
    "WrongStream": weights_of(using(INIT=1)),
    "TensorIgnored": weights_of(TENSOR_IGNORED)}


def smallest_k(enough):
    """k as a buggy port finds it: the smallest with enough(k)."""
    k = 0
    while not enough(k):
        k += 1
    return k


INIT_EXPONENT = {
    "RangeOf128": using(init_exponent=lambda fan_in, headroom: headroom - smallest_k(
        lambda k: 12 * 4**k >= 128**2 * fan_in)),
    "LargestBelow": using(init_exponent=lambda fan_in, headroom: headroom - smallest_k(
        lambda k: 12 * 4**(k + 1) >= 127**2 * fan_in)),
    "HeadroomNotInExponent": answering(exponent=lambda i, p, right: -right["k"]),
    "HeadroomNotInBound": answering(bound=lambda i, p, right: 127),
    "BoundOf128": answering(bound=lambda i, p, right: 128 >> p["headroom"])}


def weights_with(change):
    """change(weight, shape, headroom) of each tensor."""
    return answering(weights=lambda i, p, right: [
        change(weight, shape, headroom) for weight, shape, headroom in
        zip(right["weights"], p["shapes"], p["headroom"], strict=True)])


def fan_in_of(fan_in):
    return weights_with(lambda weight, shape, headroom: {
        **weight, "exponent": headroom - smallest_k(lambda k: 12 * 4**k >= 127**2 * fan_in(shape))})


def one_draw_for_all(twin, i, p):
    """A port that draws the weights of all tensors, one after the other, from the words of the first."""
    position = 0

    def uniform_int8(seed, tensor, count, bound):
        nonlocal position
        position += count
        return right(seed, 0, position, bound)[-count:]
    right = twins.uniform_int8
    return using(uniform_int8=uniform_int8)(twin, i, p)


def first_axis_fastest(values, shape):
    """The flat list as a nested one in column-major order."""
    if len(shape) == 1:
        return values
    return [first_axis_fastest(values[k::shape[0]], shape[1:]) for k in range(shape[0])]


INIT = {
    "FanInWithoutKernel": fan_in_of(lambda shape: shape[1]),
    "FanOut": fan_in_of(lambda shape: shape[0]),
    "TensorIgnored": TENSOR_IGNORED,
    "OneStreamForAll": one_draw_for_all,
    "SeedIgnored": SEED_IGNORED,
    "FirstAxisFastest": weights_with(lambda weight, shape, headroom: {
        **weight, "data": first_axis_fastest(twins.flat(weight["data"]), shape)})}


BUGS = {"philox4x64_10": PHILOX, "words": WORDS, "half_words": HALF_WORDS, "uniform_int8": UNIFORM,
        "init_exponent": INIT_EXPONENT, "init_weights": INIT}
