"""Cuts work into tiles of bounded size and runs them on the machine's cores where that pays.

NumPy's einsum releases the interpreter's lock while it runs, so plain threads are enough where a tile is mostly one
long product. They are worse than none where it is many short operations: each takes the lock back, and a thread that
sleeps for it wakes after tens of microseconds. What draws, pools and normalises therefore runs on one thread, and so
do products that are over in less than that. Every tile is computed alone and put back in its place: tile size and
thread count change no bit of any integer result.
"""
import functools
import os
from concurrent.futures import ThreadPoolExecutor

from . import models, system
from .errors import UserError

TILE_BYTES = 257_000  # of patches and accumulators that are held at a time: inside a core's share of the caches
WORTH_A_THREAD = {"int32": 1_300_000, "float32": 6_000_000}   # products of numbers in a tile, some 150 microseconds


def threads():
    """How many threads to use: $ZO_NUMPY_THREADS, or one for each processor this process may run on."""
    setting = os.environ.get("ZO_NUMPY_THREADS")
    if setting is not None:
        if not setting.isdecimal() or len(setting) > 4 or int(setting) < 1:
            raise UserError(f"ZO_NUMPY_THREADS={setting}: set it to a whole number of threads, 1 to 9999")
        return int(setting)
    return system.processors()


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


def tiling(block, sample_shape, count, dtype):
    """How `count` samples of a block's input are cut: (samples in a tile, threads that share the tiles).

    What is held at a time is at most TILE_BYTES, or one sample if that needs more. Several threads may hold TILE_BYTES
    each, but together no more than the block's output for the batch takes, or TILE_BYTES if that is larger.
    dtype: name of the type products are summed in.
    """
    layer, workers = block[0], threads()
    made = 4 * count * models.size(models.output_shape(block, sample_shape))
    share = max(TILE_BYTES, min(made, workers * TILE_BYTES)) // workers
    length = min(max(1, share // scratch_bytes(layer, sample_shape)), -(-count // workers))
    if length * models.products([layer], sample_shape) >= WORTH_A_THREAD[dtype]:
        return length, workers
    return max(1, min(count, TILE_BYTES // scratch_bytes(layer, sample_shape))), 1


def cut(count, length, workers):
    """Slices of at most `length` of `count` items, 1 or more: equal and, if there are several and enough items, as many
    for each worker."""
    number = -(-count // length)
    if number > 1:
        number = min(count, -(-number // workers) * workers)
    bounds = [count * i // number for i in range(number + 1)]
    return [slice(a, b) for a, b in zip(bounds, bounds[1:])]


def for_tiles(count, length, work, workers=None):
    """Calls work(slice) for tiles of at most `length` of `count` items, on `workers` threads (default: all).

    Whichever is free takes the next tile, the caller among them. Returns the results in the order of the tiles. An
    exception in a tile is raised here.
    """
    workers = workers or threads()
    items = cut(count, length, workers)
    workers = min(workers, len(items))
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
