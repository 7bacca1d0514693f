"""Integer cross-entropy: against its twin, against float64 of the same integer logits, and at its ends."""
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import twins
from zo_numpy.int8 import loss
from zo_numpy.int8.arith import QTensor
from zo_numpy.int8.loss import (EXP2_COEFFICIENTS, LOG2_COEFFICIENTS, MAX_BATCH, MAX_CLASSES, coarse_cross_entropy,
                                cross_entropy)

UNIT = 2.0**-22                                  # of the loss, in bits
LOG2_E_ERROR = abs(47274 / 2**15 / np.log2(np.e) - 1)
EXPONENTS = [-40, -30, -23, -22, -16, -12, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 5, 13, 19, 20, 21, 40]


def random_logits(seed, n, classes, exponent, bound=127):
    draw = np.random.default_rng(seed)
    data = draw.integers(-bound, bound + 1, (n, classes)).astype(np.int8)
    return QTensor(data, exponent), draw.integers(0, classes, n)


def as_pair(logits):
    return logits.data.tolist(), logits.exponent


def float_bits(logits, labels):
    """Cross-entropy of each sample in bits, float64; exponents saturate as the contract says."""
    u = logits.data * 2.0**min(logits.exponent, 20) * np.log2(np.e)
    top = u.max(axis=1)
    return np.log2(np.exp2(u - top[:, None]).sum(axis=1)) + top - u[np.arange(len(labels)), labels]


def error_bound(logits):
    """How far the loss of one sample may be from the truth, in bits. (N,)

    1. log2(e) is 47274 / 2^15: all logits scaled by 1 - d. The loss then moves by d times (the expected logit
       minus the label's), at most d times the spread of the logits.
    2. u rounded by up to half a unit: the loss is log-sum-exp minus one u, and each moves at most as much.
    3. A term 2^(u - max u) errs by its polynomial (2^-26, relative at most) and by two truncations of 2^-30;
       the sum is at least 1, so its logarithm errs by log2(e) times as much.
    4. The logarithm errs by its polynomial (2^-26), by truncated products of at most 8 * 2^-30, and by one
       unit lost in the last shift.
    """
    data = logits.data.astype(np.int64)
    spread = (data.max(axis=1) - data.min(axis=1)) * 2.0**min(logits.exponent, 20) * np.log2(np.e)
    classes = data.shape[1]
    terms = (2.0**-26 + classes * 2 * 2.0**-30) * np.log2(np.e)
    return LOG2_E_ERROR * spread + 2 * UNIT / 2 + terms + 2.0**-26 + 8 * 2.0**-30 + UNIT


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("n, classes", [(1, 1), (1, 2), (7, 10), (3, 40)])
def test_cross_entropy_equals_the_twin(exponent, n, classes):
    for bound in (127, 1):
        logits, labels = random_logits(n, n, classes, exponent, bound)
        expected = twins.cross_entropy(as_pair(logits), labels.tolist())
        got = cross_entropy(logits, labels)
        assert (got, type(got)) == (expected, int)
        got = coarse_cross_entropy(logits, labels)
        assert (got, type(got)) == (twins.coarse_cross_entropy(as_pair(logits), labels.tolist()), int)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_u_and_terms_equal_the_twin(exponent):
    every = np.arange(-127, 128, dtype=np.int8).reshape(1, -1)
    u, terms = twins.sample_terms(every[0].tolist(), exponent)
    got = loss.base2_logits(QTensor(every, exponent))
    assert got.dtype == np.int64 and got.tolist() == [u]
    got = loss.exp2_terms(got)
    assert got.dtype == np.int64 and got.tolist() == [terms]
    assert got.max() == 2**30 and got.min() >= 0


def test_terms_at_whole_and_nearly_whole_distances():
    distances = [0] + [max(0, w * 2**22 + d) for w in range(35) for d in (-2, -1, 0, 1, 2)] + [2**50]
    u = -np.array([distances], np.int64)
    assert loss.exp2_terms(u).tolist() == [[twins.exp2_negative(d) for d in distances]]
    assert loss.exp2_terms(u)[0, distances.index(3 * 2**22)] == 2**30 >> 3
    assert loss.exp2_terms(u)[0, -1] == 0


def test_log2_equals_the_twin():
    totals = [2**b + d for b in range(30, 40) for d in (0, 1, 2**b // 3, 2**b - 1)] + [1000 << 30]
    got = loss.log2_sum(np.array(totals, np.int64))
    assert got.dtype == np.int64 and got.tolist() == [twins.log2_of(t) for t in totals]
    assert loss.log2_sum(np.array([2**b for b in range(30, 40)], np.int64)).tolist() == [
        (b - 30) << 22 for b in range(30, 40)]


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_cross_entropy_against_float64(exponent, classes):
    for bound in (127, 20, 1):
        logits, labels = random_logits(classes + bound, 50, classes, exponent, bound)
        truth = float_bits(logits, labels)
        assert np.isfinite(truth).all()
        bound_on_error = error_bound(logits) + 2.0**-45 * truth           # and float64's own rounding
        for i in range(50):
            one = QTensor(logits.data[i:i + 1], exponent)
            assert abs(cross_entropy(one, labels[i:i + 1]) * UNIT - truth[i]) <= bound_on_error[i]
        assert abs(cross_entropy(logits, labels) * UNIT - truth.sum()) <= bound_on_error.sum()


def test_equal_logits_cost_the_logarithm_of_the_classes():
    for exponent in (-40, 0, 20):
        logits = QTensor(np.full((3, 16), -127, np.int8), exponent)
        assert cross_entropy(logits, np.zeros(3, np.uint8)) == 3 * 4 << 22
        assert coarse_cross_entropy(logits, np.zeros(3, np.uint8)) == 3 * 4 << 22
    # At an exponent of -40 every logit is nothing: any label costs log2 of 10.
    logits, labels = random_logits(0, 6, 10, -40)
    assert cross_entropy(logits, labels) == 6 * twins.log2_of(10 << 30)
    assert abs(cross_entropy(logits, labels) / 6 * UNIT - np.log2(10)) < 2 * UNIT


def test_a_certain_and_right_sample_costs_nothing_and_no_loss_is_negative():
    certain = QTensor(np.int8([[127, -127, -127]]), 0)
    assert cross_entropy(certain, np.uint8([0])) == 0
    assert cross_entropy(certain, np.uint8([1])) == (127 + 127) * 47274 << 7
    for seed in range(200):
        logits, labels = random_logits(seed, 2, 5, seed % 30 - 20)
        assert cross_entropy(logits, labels) >= 0
        assert coarse_cross_entropy(logits, labels) >= 0


def test_exponents_saturate_at_20():
    logits, labels = random_logits(1, 4, 10, 20)
    for exponent in (21, 40, 1000):
        for loss_of in (cross_entropy, coarse_cross_entropy):
            assert loss_of(logits._replace(exponent=exponent), labels) == loss_of(logits, labels)
    assert cross_entropy(logits._replace(exponent=19), labels) != cross_entropy(logits, labels)


@pytest.mark.parametrize("exponent", [-9, -7, -6, -5, -4, -3, 0])
def test_the_sign_of_a_difference_agrees_with_float64(exponent):
    """Pairs of batches that differ by one count in a few logits, as the two passes of a late ZO step do."""
    agreeing = 0
    for seed in range(300):
        draw = np.random.default_rng(seed)
        plus, labels = random_logits(seed, 8, 10, exponent, bound=100)
        nudges = draw.integers(-1, 2, plus.data.shape) * (draw.integers(0, 8, plus.data.shape) == 0)
        minus = QTensor((plus.data + nudges).astype(np.int8), exponent)
        integer = cross_entropy(plus, labels) - cross_entropy(minus, labels)
        before, after = float_bits(plus, labels).sum(), float_bits(minus, labels).sum()
        agrees = np.sign(integer) == np.sign(before - after)
        # Logits that vanish beside the largest move only the float loss, by less than is worth a direction.
        agreeing += agrees or (integer == 0 and abs(before - after) < 1e-4 * before)
        assert agrees or abs(before - after) <= (error_bound(plus) + error_bound(minus)).sum()
    assert agreeing >= 0.995 * 300


@pytest.mark.parametrize("exponent", [-8, -5, -3, 0, 4])
def test_loss_is_monotonic_in_every_logit(exponent):
    """Raising the label's logit never raises the loss; raising another never lowers it."""
    for label in (0, 3):
        for others in ([0, 0, 0, 0, 0], [-127, 100, 5, 0, 127], [60, 61, 62, 63, 64]):
            for moved in range(5):
                rows = np.tile(np.int8(others), (255, 1))
                rows[:, moved] = np.arange(-127, 128)
                costs = [cross_entropy(QTensor(row[None], exponent), np.array([label])) for row in rows]
                steps = np.diff(costs)
                assert (steps <= 0).all() if moved == label else (steps >= 0).all()
                assert costs[0] != costs[-1]


def test_the_largest_batch_at_the_extremes_does_not_overflow():
    n, classes = MAX_BATCH, MAX_CLASSES
    data = np.full((n, classes), 127, np.int8)
    labels = np.arange(n) % classes
    data[np.arange(n), labels] = -127                              # every sample as wrong as can be
    row, label = data[0].tolist(), 0
    for exponent in (20, 50, -7):
        expected = n * twins.cross_entropy(([row], exponent), [label])
        assert cross_entropy(QTensor(data, exponent), labels) == expected
        assert expected < 2**63 - 1
    worst = 4096 * ((2 * 127 * 47274 << 27) + (10 << 22))
    assert worst.bit_length() <= 63                                # fits an int64


@pytest.mark.parametrize("n, classes", [(MAX_BATCH + 1, 2), (1, MAX_CLASSES + 1)])
def test_what_is_not_proved_is_refused(n, classes):
    logits = QTensor(np.zeros((n, classes), np.int8), 0)
    with pytest.raises(ValueError, match=f"{n} samples and {classes} classes.*{MAX_BATCH} and {MAX_CLASSES}"):
        cross_entropy(logits, np.zeros(n, np.uint8))


def exact_polynomial(coefficients, x):
    value = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        value = coefficient / 2**30 + value * x
    return value


def test_exp2_polynomial_over_every_fraction():
    fraction = np.arange(2**22, dtype=np.int64)
    f = fraction / 2.0**22
    error = 1 + f * exact_polynomial(EXP2_COEFFICIENTS, f) - np.exp2(f)
    assert np.abs(error).max() < 2.0**-26
    assert abs(1 + sum(EXP2_COEFFICIENTS) / 2**30 - 2) < 2.0**-26             # f -> 1 meets the next power
    # As computed, truncations included: the term at a distance of 1 - f is half of 2^f.
    term = loss.exp2_terms(np.stack([np.zeros_like(fraction), fraction - 2**22], axis=1))[:, 1]
    assert np.abs(term / 2.0**30 - np.exp2(f) / 2).max() < 2.0**-26
    assert (np.diff(term) >= 0).all() and term[0] == 2**29 and term[-1] < 2**30


def test_log2_polynomial_over_its_octave():
    total = np.concatenate([np.arange(2**30, 2**31, 997), [2**31 - 1]])
    x = total / 2.0**30
    t = (x - 1) / (x + 1)
    error = t * exact_polynomial(LOG2_COEFFICIENTS, t * t) - np.log2(x)
    assert np.abs(error).max() < 2.0**-26
    got = loss.log2_sum(total)
    assert np.abs(got * UNIT - np.log2(x) + UNIT / 2).max() < UNIT / 2 + 2.0**-26 + 8 * 2.0**-30
    assert (np.diff(got) >= 0).all() and got[0] == 0 and got[-1] <= 2**22


def test_leading_coefficients_are_the_derivatives_there():
    assert abs(EXP2_COEFFICIENTS[0] / 2**30 - np.log(2)) < 2.0**-18           # (2^f)' at 0
    assert abs(LOG2_COEFFICIENTS[0] / 2**30 - 2 / np.log(2)) < 2.0**-18       # log2((1 + t) / (1 - t))' at 0
    assert abs(47274 / 2**15 - np.log2(np.e)) < 2.0**-16


def test_coarse_is_whole_bits_and_forgets_what_is_far_below():
    one = 1 << 22
    logits, labels = random_logits(2, 30, 10, -4)
    assert coarse_cross_entropy(logits, labels) % one == 0
    # Eight logits far below do not count; eight at the maximum cost three bits.
    assert coarse_cross_entropy(QTensor(np.int8([[100] + [-100] * 8]), -2), np.array([0])) == 0
    assert coarse_cross_entropy(QTensor(np.int8([[100] * 8]), -2), np.array([5])) == 3 * one
    # Floored u of 0, -1, .. -10 below one another: 2^10 + .. + 2^0 is a bit short of 2^11.
    ladder = [0, -1, -2, -3, -5, -6, -7, -9, -10, -12, -13]
    assert coarse_cross_entropy(QTensor(np.int8([ladder]), -1), np.array([0])) == 0
    assert coarse_cross_entropy(QTensor(np.int8([ladder + [-13]]), -1), np.array([0])) == 1 * one
    assert coarse_cross_entropy(QTensor(np.int8([ladder + [-14] * 50]), -1), np.array([0])) == 0    # u is -11
    # Floor of a negative u: log2(e) * -1 / 4 = -0.36 is -1, a whole bit below 0.
    assert coarse_cross_entropy(QTensor(np.int8([[0, -1]]), -2), np.array([1])) == 1 * one + 0


def test_losses_do_not_depend_on_layout_and_change_nothing():
    logits, labels = random_logits(3, 9, 10, -5)
    before = logits.data.copy()
    for loss_of in loss.LOSSES.values():
        expected = loss_of(logits, labels)
        for view in (np.asfortranarray(logits.data), np.repeat(logits.data, 2, axis=1)[:, ::2]):
            assert loss_of(QTensor(view, -5), labels.astype(np.uint8)) == expected
    assert_array_equal(logits.data, before)
