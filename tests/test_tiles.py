"""Tiles and threads: they may change how long something takes, and no bit of it."""
import threading
import time

import numpy as np
import pytest

from zo_numpy import models, tiles
from zo_numpy.errors import UserError
from zo_numpy.int8 import draws, elastic_zo, precision
from zo_numpy.models import LENET5, Conv2d, Linear

THREADS = [1, 2, 3, 8]
SETTINGS = elastic_zo.Settings(r_max=15, p_zero=64, b_zo=2, b_bp=4, r_limit=15)


def trained(bp_tail):
    draw = np.random.default_rng(5)
    headroom = {layer.name: 2 for layer in models.weight_layers(LENET5.layers)}
    weights = draws.init_weights(LENET5, 1, headroom)
    precision.clip_for_zo(weights, elastic_zo.zo_tensors(LENET5, bp_tail), SETTINGS.r_limit)
    log = []
    for step in range(2):
        images = draw.integers(0, 256, (7, 1, 28, 28), dtype=np.uint8)
        labels = draw.integers(0, 10, 7).astype(np.uint8)
        log.append(elastic_zo.train_step(LENET5, bp_tail, weights, images, labels, 1, step, SETTINGS))
    return log, {name: weight.data.tobytes() for name, weight in weights.items()}


def test_training_is_the_same_for_all_tiles_and_threads(monkeypatch):
    monkeypatch.setenv("ZO_NUMPY_THREADS", "1")
    expected = trained(2)
    monkeypatch.setitem(tiles.WORTH_A_THREAD, "int32", 1)
    for workers in THREADS:
        monkeypatch.setenv("ZO_NUMPY_THREADS", str(workers))
        for tile_bytes in (1, 1 << 18, 1 << 30):
            monkeypatch.setattr(tiles, "TILE_BYTES", tile_bytes)
            assert trained(2) == expected


@pytest.mark.parametrize("workers", THREADS)
@pytest.mark.parametrize("count, length", [(1, 1), (1, 100), (2, 1), (7, 3), (64, 16), (64, 5), (5, 100)])
def test_tiles_cover_everything_once_and_in_order(monkeypatch, workers, count, length):
    monkeypatch.setenv("ZO_NUMPY_THREADS", str(workers))

    def work(tile):
        time.sleep(0.002 if tile.start == 0 else 0)                # the first tile finishes last
        return list(range(tile.start, tile.stop))

    parts = tiles.for_tiles(count, length, work)
    assert [i for part in parts for i in part] == list(range(count))
    assert all(1 <= len(part) <= length for part in parts)
    assert len(parts) == 1 or len(parts) == count or len(parts) % workers == 0


def test_more_than_one_thread_works(monkeypatch):
    monkeypatch.setenv("ZO_NUMPY_THREADS", "3")
    meeting = threading.Barrier(3, timeout=10)                     # passed only by three threads at a time
    tiles.for_tiles(3, 1, lambda tile: meeting.wait())


@pytest.mark.parametrize("nonsense", ["", "0", "-1", "two", "1.5", " 2", "1e1", "0x2"])
def test_a_nonsense_number_of_threads_is_refused(monkeypatch, nonsense):
    monkeypatch.setenv("ZO_NUMPY_THREADS", nonsense)
    with pytest.raises(UserError, match="ZO_NUMPY_THREADS.*whole number"):
        tiles.threads()


def test_threads_without_a_setting_are_the_processors(monkeypatch):
    monkeypatch.delenv("ZO_NUMPY_THREADS", raising=False)
    assert tiles.threads() >= 1
    monkeypatch.setenv("ZO_NUMPY_THREADS", "5")
    assert tiles.threads() == 5


@pytest.mark.parametrize("workers", THREADS)
def test_an_exception_in_a_tile_is_raised(monkeypatch, workers):
    monkeypatch.setenv("ZO_NUMPY_THREADS", str(workers))

    def work(tile):
        if tile.start:
            raise ArithmeticError(f"tile from {tile.start}")

    with pytest.raises(ArithmeticError, match="tile from 4"):
        tiles.for_tiles(8, 4, lambda tile: work(slice(tile.start // 4 * 4, tile.stop)))
    assert tiles.for_tiles(4, 1, lambda tile: tile.start) == [0, 1, 2, 3]     # and the pool lives on


def test_a_tile_holds_no_more_than_it_may(monkeypatch):
    conv = (Conv2d("w", 6, 16, 5, 2),)
    per_sample = 4 * (6 * 5 * (18 * 14) + 16 * (14 * 14))          # bytes of one sample's patches and accumulators
    for workers in (1, 2):
        monkeypatch.setenv("ZO_NUMPY_THREADS", str(workers))
        length, used = tiles.tiling(conv, (6, 14, 14), 20, "int32")          # its 20 * 16 * 14 * 14 sums are fewer
        assert used == workers
        assert workers * length * per_sample <= tiles.TILE_BYTES < workers * (length + 1) * per_sample
        length, used = tiles.tiling(conv, (6, 14, 14), 10**6, "int32")
        assert used == workers and length * per_sample <= tiles.TILE_BYTES < (length + 1) * per_sample
        assert tiles.tiling(conv, (6, 10_000, 10_000), 10**6, "int32") == (1, workers)
        length, _ = tiles.tiling((Linear("w", 784, 120),), (784,), 10**6, "int32")
        assert length == tiles.TILE_BYTES // (4 * (784 + 120))


def test_threads_are_used_where_there_is_work_for_them(monkeypatch):
    monkeypatch.setenv("ZO_NUMPY_THREADS", "2")
    assert tiles.tiling((Linear("w", 784, 120),), (784,), 32, "int32") == (16, 2)
    assert tiles.tiling((Linear("w", 784, 120),), (784,), 32, "float32") == (32, 1)
    assert tiles.tiling((Linear("w", 84, 10),), (84,), 32, "int32") == (32, 1)
    assert tiles.tiling((Linear("w", 784, 120),), (784,), 1, "int32") == (1, 1)
