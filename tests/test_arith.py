"""Integer arithmetic: widths, both shifts, requantisation, the matmul, the bound of the int32 accumulator."""
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import twins
from zo_numpy.int8 import arith
from zo_numpy.int8.arith import (MAX_TERMS, bit_width, check_terms, from_pixels, matmul, max_abs,
                                 pseudo_stochastic_shift, requantise, round_shift)

LARGEST = MAX_TERMS * 127**2          # the largest accumulator there may be
POWERS = [2**b + d for b in range(31) for d in (-1, 0, 1) if 2**b + d <= LARGEST]
MAGNITUDES = sorted({0, 1, 2, 3, 5, 6, 126, 127, 128, 129, 3 * 2**20, 3 * 2**20 + 1, LARGEST, *POWERS})
EDGES = np.array(MAGNITUDES + [-m for m in MAGNITUDES], np.int32)
SHIFTS = range(31)


def random_int32(seed, shape, bound=LARGEST):
    """Random magnitudes of every width, both signs."""
    draw = np.random.default_rng(seed)
    values = draw.integers(-bound, bound, shape, endpoint=True)
    return (values // (1 << draw.integers(0, 31, shape))).astype(np.int32)


def assert_same(fast, expected, dtype):
    assert fast.dtype == dtype
    assert fast.tolist() == expected


def test_bit_width():
    assert [bit_width(m) for m in (0, 1, 2, 127, 128, 255, 256)] == [0, 1, 2, 7, 8, 8, 9]
    for m in MAGNITUDES:
        assert bit_width(np.int32(m)) == bit_width(m) == twins.bit_width(m)
    # Next to 2^53 and beyond, a float log2 rounds up to the next width.
    assert [bit_width(2**b - 1) for b in range(60)] == list(range(60))


def test_max_abs():
    assert max_abs(np.array([[3, -7], [5, 6]], np.int32)) == 7
    assert max_abs(np.array([3, 7], np.int8)) == 7
    assert max_abs(np.zeros((2, 2), np.int32)) == 0
    assert max_abs(np.zeros((0, 4), np.int32)) == 0
    assert max_abs(np.array([-128], np.int8)) == 128              # where np.abs wraps to -128
    assert type(max_abs(np.array([1], np.int32))) is int


def test_round_shift_by_hand():
    assert round_shift(np.int32([-6]), 2) == [-((6 + 2) >> 2)]
    assert round_shift(np.int32([6]), 2) == [(6 + 2) >> 2]
    assert round_shift(np.int32([-5]), 2) == [-((5 + 2) >> 2)]
    assert round_shift(np.int32([-1]), 1) == [-((1 + 1) >> 1)]    # a tie: away from zero, where floor gives 0
    assert round_shift(np.int32([-1]), 2) == [-((1 + 2) >> 2)]    # 0, where a floor gives -1


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("shift", SHIFTS)
def test_round_shift_equals_the_twin(shift, dtype):
    for values in (EDGES, random_int32(shift, 500)):
        # The contract of int32: |values| + 2^(shift - 1) < 2^31.
        fits = values[np.abs(values.astype(np.int64)) + 2**shift // 2 < 2**31]
        assert fits.size
        assert_same(round_shift(fits.astype(dtype), shift),
                    [twins.round_shift(v, shift) for v in fits.tolist()], dtype)


@pytest.mark.parametrize("shift", range(1, 24))
def test_round_shift_takes_every_tie_away_from_zero(shift):
    odd = np.arange(1, 100, 2, dtype=np.int32)                    # odd halves
    ties = odd << (shift - 1)
    assert round_shift(ties, shift).tolist() == [(m + 1) // 2 for m in odd.tolist()]
    assert round_shift(-ties, shift).tolist() == [-((m + 1) // 2) for m in odd.tolist()]


def test_pseudo_stochastic_shift_by_hand():
    # 0b10_10 dropped: q = 1, high 0b10 > low 0b01; then high 0b01 = low 0b01: not greater, so q.
    assert pseudo_stochastic_shift(np.int32([0b1_1001]), 4) == [1 + (0b10 > 0b01)]
    assert pseudo_stochastic_shift(np.int32([0b1_0101]), 4) == [1 + (0b01 > 0b01)]
    assert pseudo_stochastic_shift(np.int32([-0b1_1001]), 4) == [-(1 + (0b10 > 0b01))]
    # Odd shift: two bits high, one bit low, doubled.
    assert pseudo_stochastic_shift(np.int32([0b1_011]), 3) == [1 + (0b01 > 0b1 * 2)]
    assert pseudo_stochastic_shift(np.int32([0b1_111]), 3) == [1 + (0b11 > 0b1 * 2)]
    assert pseudo_stochastic_shift(np.int32([0b1_101]), 3) == [1 + (0b10 > 0b1 * 2)]
    assert pseudo_stochastic_shift(np.int32([-1]), 1) == [-(0 + (1 > 0))]
    assert pseudo_stochastic_shift(np.int32([-1]), 4) == [-(0 + (0 > 1))]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("shift", SHIFTS)
def test_pseudo_stochastic_shift_equals_the_twin(shift, dtype):
    for values in (EDGES, random_int32(100 + shift, 500)):
        assert_same(pseudo_stochastic_shift(values.astype(dtype), shift),
                    [twins.pseudo_stochastic_shift(v, shift) for v in values.tolist()], dtype)


@pytest.mark.parametrize("shift", range(8))
def test_pseudo_stochastic_shift_of_every_int8(shift):
    values = np.arange(-127, 128, dtype=np.int8)
    assert_same(pseudo_stochastic_shift(values, shift),
                [twins.pseudo_stochastic_shift(v, shift) for v in range(-127, 128)], np.int8)


@pytest.mark.parametrize("shift", [1, 2, 3, 4, 5, 8])
def test_pseudo_stochastic_shift_is_odd_and_nearly_unbiased(shift):
    values = np.arange(-(1 << 12), (1 << 12) + 1, dtype=np.int32)
    shifted = pseudo_stochastic_shift(values, shift)
    assert_array_equal(shifted, -shifted[::-1])
    negative = values < 0
    bias = (shifted[negative] - values[negative] / 2**shift).mean()
    assert abs(bias) <= 0.26                                      # floored, it would be between -0.5 and -1


def test_a_shift_of_zero_changes_nothing():
    assert_array_equal(round_shift(EDGES, 0), EDGES)
    assert_array_equal(pseudo_stochastic_shift(EDGES, 0), EDGES)


def test_shifts_leave_their_argument_alone():
    for shift in (round_shift, pseudo_stochastic_shift):
        for values in (random_int32(0, 50), random_int32(0, (10, 10))[::2, ::3]):
            before = values.copy()
            for s in (0, 1, 7):
                shift(values, s)
                assert_array_equal(values, before)


def assert_requantised(accumulator, exponent=-9):
    got = requantise(accumulator, exponent)
    data, twin_exponent = twins.requantise(accumulator.tolist(), exponent)
    assert_same(got.data, data, np.int8)
    assert (got.exponent, type(got.exponent)) == (twin_exponent, int)
    return got


def test_requantise_by_hand():
    fits = requantise(np.int32([127, -127, 0, 1]), -3)
    assert (fits.data.tolist(), fits.exponent) == ([127, -127, 0, 1], -3)
    wider = requantise(np.int32([128, -127, 1]), -3)
    assert wider.data.tolist() == [(128 + 1) >> 1, -((127 + 1) >> 1), (1 + 1) >> 1]
    assert wider.exponent == -3 + 1
    clipped = requantise(np.int32([255, -255, -3]), 0)            # (255 + 1) >> 1 is 128
    assert (clipped.data.tolist(), clipped.exponent) == ([127, -127, -((3 + 1) >> 1)], 1)


@pytest.mark.parametrize("largest", [m for m in MAGNITUDES if m])
def test_requantise_edges_equal_the_twin(largest):
    shift = max(0, largest.bit_length() - 7)
    for sign in (1, -1):
        ties = [0, 1, 2**shift // 2, 3 * 2**shift // 2, 2**shift, largest // 2, largest - 1, largest]
        tensor = np.array([sign * m for m in ties if m <= largest] + [-sign * (largest // 3)], np.int32)
        got = assert_requantised(tensor)
        assert 64 <= np.abs(got.data.astype(np.int32)).max() <= 127 or largest < 64


@pytest.mark.parametrize("seed", range(8))
def test_requantise_random_equals_the_twin(seed):
    shape = [(1, 1), (1, 7), (3, 5), (2, 3, 5, 3)][seed % 4]
    bound = [LARGEST, 2**20, 300, 127][seed // 2]
    assert_requantised(random_int32(seed, shape, bound), exponent=seed - 20)


def test_requantise_of_zeros():
    got = assert_requantised(np.zeros((2, 3), np.int32))
    assert got.exponent == -9 and not got.data.any()


def test_requantise_does_not_depend_on_memory_order():
    tensor = random_int32(4, (4, 6, 5, 3))
    expected = requantise(tensor, 1)
    for view in (np.asfortranarray(tensor), np.repeat(tensor, 2, axis=1)[:, ::2],
                 np.ascontiguousarray(tensor.transpose(3, 0, 2, 1)).transpose(1, 3, 2, 0)):
        assert_array_equal(requantise(view, 1).data, expected.data)


def test_from_pixels():
    pixels = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    x = from_pixels(pixels)
    assert_same(x.data, [[[[pixel >> 1 for pixel in row] for row in plane] for plane in image]
                         for image in pixels.tolist()], np.int8)
    assert x.exponent == -7 and x.data.max() == 127


@pytest.mark.parametrize("n, k, m", [(1, 1, 1), (3, 5, 7), (2, 150, 3), (10, 4, 1), (1, 9, 401)])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_matmul_equals_the_twin(n, k, m, layout):
    draw = np.random.default_rng(n + k + m)

    def laid_out(shape):
        values = draw.integers(-127, 128, shape).astype(np.int32)
        return {"C": values, "F": np.asfortranarray(values),
                "strided": np.repeat(np.repeat(values, 2, axis=0), 3, axis=1)[::2, ::3]}[layout]

    a, b = laid_out((n, k)), laid_out((k, m))
    product = matmul(a, b)
    assert_same(product, twins.matmul(a.tolist(), b.tolist()), np.int32)


def test_matmul_does_not_depend_on_its_column_block(monkeypatch):
    draw = np.random.default_rng(0)
    a = draw.integers(-127, 128, (6, 30)).astype(np.int32)
    b = draw.integers(-127, 128, (30, 5 * arith.COLUMN_BLOCK // 2)).astype(np.int32)   # 2.5 blocks
    expected = matmul(a, b)
    assert_array_equal(expected, a.astype(np.int64) @ b.astype(np.int64))
    for columns in (1, 3, b.shape[1] - 1, b.shape[1], 1 << 30):
        monkeypatch.setattr(arith, "COLUMN_BLOCK", columns)
        assert_array_equal(matmul(a, b), expected)
        for widened in (1, 4 * 30 * 7, 1 << 30):
            monkeypatch.setattr(arith, "WIDENED_BYTES", widened)
            assert_same(matmul(a.astype(np.int8), b.astype(np.int8)), expected.tolist(), np.int32)


def test_matmul_sums_over_two_axes():
    draw = np.random.default_rng(1)
    a, b = (draw.integers(-127, 128, shape).astype(np.int32) for shape in ((4, 3, 5), (3, 5, 9)))
    assert_same(matmul(a, b), twins.matmul(a.reshape(4, 15).tolist(), b.reshape(15, 9).tolist()), np.int32)


def test_the_largest_sum_and_its_rounding_fit_an_int32():
    largest = MAX_TERMS * 127 * 127
    shift = largest.bit_length() - 7
    assert largest + 2**(shift - 1) < 2**31
    assert largest < 2**31 - 2**23 <= (MAX_TERMS + 1) * 127 * 127        # and it is the largest such
    check_terms(MAX_TERMS)
    with pytest.raises(ValueError, match=f"{MAX_TERMS + 1}.*{MAX_TERMS}"):
        check_terms(MAX_TERMS + 1)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_of_max_terms_is_exact_and_requantises(sign):
    a = np.full((1, MAX_TERMS), 127 * sign, np.int32)
    b = np.full((MAX_TERMS, 2), 127, np.int32)
    b[:, 1] = -1
    product = matmul(a, b)
    assert product.tolist() == [[MAX_TERMS * 127 * 127 * sign, -MAX_TERMS * 127 * sign]]
    assert_requantised(product)
