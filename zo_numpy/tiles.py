"""Cuts work into tiles of bounded size and runs them on the machine's cores.

NumPy's einsum, copies, comparisons and Philox release the interpreter's lock, so plain threads are enough. Every tile
is computed alone and put back in its place: tile size and thread count change no bit of any integer result.
"""
import functools
import os
from concurrent.futures import ThreadPoolExecutor

from . import models
from .errors import UserError

TILE_BYTES = 257_000  # of patches and accumulators that are held at a time: inside a core's share of the caches
MIN_TILE_MACS = 1 << 19  # products below which a second thread costs more than it gives


def threads():
    """How many threads to use: $ZO_NUMPY_THREADS, or one for each processor this process may run on."""
    setting = os.environ.get("ZO_NUMPY_THREADS")
    if setting is not None:
        if not setting.isdecimal() or len(setting) > 4 or int(setting) < 1:
            raise UserError(f"ZO_NUMPY_THREADS={setting}: set it to a whole number of threads, 1 to 9999")
        return int(setting)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.lru_cache(maxsize=1)
def pool(workers):
    return ThreadPoolExecutor(workers)


def scratch_bytes(layer, sample_shape):
    """What one sample of a layer's input needs beside input and output while the layer runs, 4 bytes a number."""
    if isinstance(layer, models.Conv2d):
        rows, columns = sample_shape[1] + 2 * layer.pad, sample_shape[2] + 2 * layer.pad - layer.kernel + 1
        positions = (rows - layer.kernel + 1) * columns
        return 4 * (layer.in_channels * layer.kernel * rows * columns + layer.out_channels * positions)
    return 4 * (models.fan_in(layer) + layer.weight_shape[0])


def tile_length(block, sample_shape, count):
    """How many of `count` samples make a tile of a block, at least 1.

    All threads together hold TILE_BYTES, or up to as much each where what the block makes of the batch is larger than
    that anyway. Tiles are shorter where the batch would leave a thread idle that has MIN_TILE_MACS to do.
    """
    layer, workers = block[0], threads()
    made = 4 * count * models.size(models.output_shape(block, sample_shape))
    budget = max(TILE_BYTES, min(made, workers * TILE_BYTES))
    length = max(1, budget // workers // scratch_bytes(layer, sample_shape))
    return max(1, min(length, max(-(-MIN_TILE_MACS // macs(layer, sample_shape)), -(-count // workers))))


def macs(layer, sample_shape):
    """How many products of numbers a layer forms for one sample."""
    positions = models.size(models.output_shape([layer], sample_shape)[1:])
    return models.weight_count(layer) * positions


def cut(count, length):
    """Slices of at most `length` of `count` items: equal and, if there are several, as many for each thread."""
    number = -(-count // length)
    if number > 1:
        number = min(count, -(-number // threads()) * threads())
    bounds = [count * i // number for i in range(number + 1)]
    return [slice(a, b) for a, b in zip(bounds, bounds[1:])]


def for_tiles(count, length, work):
    """Calls work(slice) for the tiles that `cut` makes; whichever thread is free takes the next one.

    Returns the results in order. An exception in a tile is raised here.
    """
    return for_each(cut(count, length), work)


def for_each(items, work):
    """Calls work(item) for every item on all threads; returns the results in order. An exception is raised here."""
    workers = min(threads(), len(items))
    if workers <= 1:
        return [work(item) for item in items]
    results, remaining = [None] * len(items), iter(range(len(items)))   # next() of it is atomic

    def take():
        for i in remaining:
            results[i] = work(items[i])

    helpers = [pool(threads()).submit(take) for _ in range(workers - 1)]
    try:
        take()
    finally:
        for i in remaining:   # after an exception the others stop after their tile
            pass
        waited_for = [helper for helper in helpers if not helper.cancel()]
        errors = [error for helper in waited_for if (error := helper.exception())]
        work = None   # a helper that came too late may still be queued, and would keep the arrays that `work` knows
    if errors:
        raise errors[0]
    return results
