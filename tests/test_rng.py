"""Random numbers: Philox against published vectors, the fast path against the twin, promises of the draws."""
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import twins
from zo_numpy import rng
from zo_numpy.int8 import draws
from zo_numpy.int8.elastic_zo import Settings

# Random123's kat_vectors for "philox4x64 10": counter, key, block. The inputs of the last are digits of pi.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0),
     (0x16554d9eca36314c, 0xdb20fe9d672d0fdc, 0xd7e772cee186176b, 0x7e68b68aec7ba23b)),
    ((2**64 - 1,) * 4, (2**64 - 1,) * 2,
     (0x87b092c3013fe90b, 0x438c3c67be8d0224, 0x9cc7d7c69cd777b6, 0xa09caebf594f0ba0)),
    ((0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89),
     (0x452821e638d01377, 0xbe5466cf34e90c6c),
     (0xa528f45403e61d95, 0x38c72dbd566e9788, 0xa5a1610e72fd18b5, 0x57bd43b5e52b7fe6)),
]
ADDRESSES = [(0, 0, 0, 0, 0), (1, 1, 7, 3, 0), (2**64 - 1, 3, 2**63, 2**64 - 1, 2**32), (12345, 2, 6, 0, 1)]
R_MAX = [1, 3, 7, 15, 31, 63]


@pytest.mark.parametrize("counter, key, block", KNOWN_ANSWERS)
def test_twin_gives_the_published_blocks(counter, key, block):
    assert twins.philox4x64_10(counter, key) == block


@pytest.mark.parametrize("counter, key, block", KNOWN_ANSWERS)
def test_numpy_gives_the_published_blocks_one_count_later(counter, key, block):
    whole = sum(c << (64 * i) for i, c in enumerate(counter))
    before = (whole - 1) % 2**256      # NumPy adds one to the 256-bit counter before its first block
    start = np.array([(before >> (64 * i)) % 2**64 for i in range(4)], np.uint64)
    drawn = np.random.Philox(key=np.array(key, np.uint64), counter=start).random_raw(4)
    assert drawn.tolist() == list(block)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("count", [1, 3, 4, 5, 64, 103])
def test_words_equal_the_twin(address, count):
    drawn = rng.words(*address, count)
    assert drawn.dtype == np.uint64
    assert drawn.tolist() == twins.words(*address, count)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16, 17, 150])
def test_half_words_equal_the_twin(address, count):
    drawn = rng.half_words(*address, count)
    assert drawn.dtype == np.uint16
    assert drawn.tolist() == twins.half_words(*address, count)


def test_half_words_cut_a_word_from_its_low_end():
    word, = rng.words(5, rng.INIT, 0, 0, 0, 1).tolist()
    low, second, third, high = rng.half_words(5, rng.INIT, 0, 0, 0, 4).tolist()
    assert word == low + (second << 16) + (third << 32) + (high << 48)
    assert len({low, second, third, high}) == 4


def test_blocks_count_from_one():
    seed, stream, step, tensor, query = 9, rng.PERTURB, 2, 4, 6
    second = twins.philox4x64_10((1 + 1, tensor, step, query), (seed, stream))
    assert rng.words(seed, stream, step, tensor, query, 8)[4:].tolist() == list(second)


def test_every_coordinate_of_an_address_changes_the_draw():
    origin = (1, 1, 1, 1, 1)
    draws = {tuple(rng.words(*origin, 4).tolist())}
    for i in range(5):
        moved = [c + (1 if j == i else 0) for j, c in enumerate(origin)]
        draws.add(tuple(rng.words(*moved, 4).tolist()))
    assert len(draws) == 1 + 5
    # Step and tensor are different places in the counter: swapping their values is another draw.
    assert rng.words(0, 0, 1, 2, 0, 4).tolist() != rng.words(0, 0, 2, 1, 0, 4).tolist()


def test_a_longer_draw_begins_with_the_shorter_one():
    assert_array_equal(rng.half_words(3, 1, 4, 1, 5, 1000)[:37], rng.half_words(3, 1, 4, 1, 5, 37))


@pytest.mark.parametrize("r_max", R_MAX)
@pytest.mark.parametrize("p_zero", [0, 1, 128, 255])
def test_perturbation_equals_the_twin(r_max, p_zero):
    drawn = draws.perturbation(11, 3, 2, 0, 203, r_max, p_zero)
    assert drawn.dtype == np.int8
    assert drawn.tolist() == twins.perturbation(11, 3, 2, 0, 203, r_max, p_zero)


@pytest.mark.parametrize("r_max", R_MAX)
@pytest.mark.parametrize("p_zero", [0, 1, 127, 255])
def test_every_half_word_maps_as_in_the_twin(r_max, p_zero):
    table = draws.perturbation_table(r_max, p_zero)
    assert table.tolist() == [twins.perturbation_of(h, r_max, p_zero) for h in range(1 << 16)]


@pytest.mark.parametrize("r_max", R_MAX)
@pytest.mark.parametrize("p_zero", [0, 3, 200])
def test_perturbation_is_symmetric_and_as_sparse_as_asked(r_max, p_zero):
    values, counts = np.unique(draws.perturbation_table(r_max, p_zero), return_counts=True)
    of = dict(zip(values.tolist(), counts.tolist()))
    assert min(of) == -r_max and max(of) == r_max
    assert all(of[v] == of[-v] for v in of)                       # so E[z] = 0 exactly
    magnitudes = r_max + 1                                        # all equally likely where z is kept
    kept = (256 - p_zero) * 256
    assert of[0] == p_zero * 256 + kept // magnitudes
    assert all(of[v] == kept // magnitudes // 2 for v in of if v)


def test_perturbation_by_hand():
    table = draws.perturbation_table(7, 56)                         # kept where h >> 8 < 256 - 56
    assert table[0x0085] == -(0x85 & 7)
    assert table[0x0005] == 5
    assert table[0xC77F] == 0x7F & 7                              # 0xC7 = 256 - 56 - 1: the last one kept
    assert table[0xC87F] == 0                                     # the first one dropped


@pytest.mark.parametrize("bound", [0, 1, 15, 31, 63, 127])
def test_uniform_int8_equals_the_twin(bound):
    drawn = draws.uniform_int8(2, 3, 301, bound)
    assert drawn.dtype == np.int8
    assert drawn.tolist() == twins.uniform_int8(2, 3, 301, bound)


@pytest.mark.parametrize("bound", [1, 31, 127])
def test_uniform_int8_reaches_both_ends_evenly(bound):
    count = 40_000
    values, counts = np.unique(draws.uniform_int8(0, 0, count, bound), return_counts=True)
    assert values.tolist() == list(range(-bound, bound + 1))
    expected = count / (2 * bound + 1)
    assert np.abs(counts - expected).max() < 6 * expected**0.5


def test_uniform_int8_at_the_ends_of_the_half_word(monkeypatch):
    ends = np.array([0, 0xFFFF], np.uint16)
    monkeypatch.setattr(rng, "half_words", lambda *address: ends)
    for bound in (0, 1, 31, 127):
        assert draws.uniform_int8(0, 0, 2, bound).tolist() == [-bound, bound]


@pytest.mark.parametrize("seed, epoch, count", [(0, 0, 1), (0, 0, 10), (1, 5, 257), (2**63, 2**40, 100)])
def test_shuffled_equals_the_twin(seed, epoch, count):
    order = rng.shuffled(seed, epoch, count)
    assert order.dtype == np.int64
    assert order.tolist() == twins.shuffled(seed, epoch, count)
    assert sorted(order.tolist()) == list(range(count))


def test_equal_words_keep_their_order(monkeypatch):
    monkeypatch.setattr(rng, "words", lambda *address: np.array([7, 3] * 50, np.uint64))
    order = rng.shuffled(2**50, 0, 100)                           # asked for nowhere else: orders are cached
    assert order.tolist() == list(range(1, 100, 2)) + list(range(0, 100, 2))


def test_epochs_are_shuffled_differently_and_replay():
    assert rng.shuffled(0, 0, 100).tolist() != rng.shuffled(0, 1, 100).tolist()
    assert rng.shuffled(0, 1, 100).tolist() == rng.shuffled(0, 1, 100).tolist()


@pytest.mark.parametrize("count, start", [(5, 0), (9, 4), (1, 8), (8, 12)])
def test_words_can_be_had_from_any_block_on(count, start):
    assert rng.words(3, 1, 4, 5, 6, count, start).tolist() == twins.words(3, 1, 4, 5, 6, start + count)[start:]


@pytest.mark.parametrize("count, most", [(1, 4), (8, 4), (9, 4), (30, 8)])
def test_words_in_turn_are_the_words(count, most):
    parts = [part.tolist() for part in rng.words_in_turn(3, 1, 4, 5, 6, count, most)]
    assert all(len(part) == most for part in parts[:-1]) and 1 <= len(parts[-1]) <= most
    assert sum(parts, []) == twins.words(3, 1, 4, 5, 6, count)


@pytest.mark.parametrize("count", [1, 16, 17, 100])
def test_z_in_turn_is_z(monkeypatch, count):
    monkeypatch.setattr(draws, "PIECE", 48)
    settings = Settings(r_max=15, p_zero=64, b_zo=1, b_bp=1, r_limit=15)
    seen = []
    for piece, z in draws.perturbation_in_turn(2, 3, 4, 5, count, settings):
        assert piece == slice(len(seen), len(seen) + len(z)) and len(z) <= 48 and z.dtype == np.int8
        seen += z.tolist()
    assert seen == twins.perturbation(2, 3, 4, 5, count, 15, 64)
