"""Cuts work into tiles of bounded size and runs them on the machine's cores.

NumPy's einsum, copies, comparisons and Philox release the interpreter's lock, so plain threads are enough. Every tile
is computed alone and put back in its place: tile size and thread count change no bit of any integer result.
"""
import functools
import os
from concurrent.futures import ThreadPoolExecutor

from . import models
from .errors import UserError

TILE_BYTES = 256 << 10  # of patches and accumulators that all threads together hold at a time: inside the caches
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
    """How many of `count` samples make a tile of a block, at least 1: its share of TILE_BYTES for each thread, and
    less where the batch would leave a thread idle that has MIN_TILE_MACS to do.
    """
    layer, workers = block[0], threads()
    length = max(1, TILE_BYTES // workers // scratch_bytes(layer, sample_shape))
    positions = 1
    if isinstance(layer, models.Conv2d):
        _, *image = models.output_shape(block[:1], sample_shape)
        positions = image[0] * image[1]
    worth_it = -(-MIN_TILE_MACS // (models.weight_count(layer) * positions))
    return max(1, min(length, max(worth_it, -(-count // workers))))


def for_tiles(count, length, work):
    """Calls work(slice) for tiles of at most `length` of `count` items and returns the results in order.

    Whichever thread is free takes the next tile, the caller's among them; tiles are equal and, if there are several,
    as many for each thread. An exception in a tile is raised here.
    """
    workers = threads()
    tiles = -(-count // length)
    if tiles > 1:
        tiles = min(count, -(-tiles // workers) * workers)
    bounds = [count * i // tiles for i in range(tiles + 1)]
    return for_each([slice(a, b) for a, b in zip(bounds, bounds[1:])], work)


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
    if errors:
        raise errors[0]
    return results
