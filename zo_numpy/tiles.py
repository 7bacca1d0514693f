"""Cuts a batch into tiles of bounded size and runs them on the machine's cores.

NumPy's einsum, copies and comparisons release the interpreter's lock, so plain threads are enough. Every tile is
computed alone and put back in its place: tile size and thread count change no bit of any result.
"""
import functools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from . import models
from .errors import UserError

TILE_BYTES = 4 << 20  # of patches (im2col) a thread may hold at a time: inside a core's share of cache


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


def tile_length(block, sample_shape):
    """How many samples of a block's input make a tile of at most TILE_BYTES of 4-byte patches; at least 1."""
    layer = block[0]
    positions = sample_shape[-1] * sample_shape[-2] if isinstance(layer, models.Conv2d) else 1
    return max(1, TILE_BYTES // (4 * models.fan_in(layer) * positions))


def for_tiles(count, length, work):
    """Calls work(slice) for tiles of at most `length` of `count` samples, at least one a thread; returns the results.

    Results are in the order of the tiles. An exception in a tile is raised here.
    """
    workers = threads()
    tiles = max(1, min(workers, count), -(-count // length))
    bounds = [count * i // tiles for i in range(tiles + 1)]
    slices = [slice(a, b) for a, b in zip(bounds, bounds[1:])]
    if workers == 1 or tiles == 1:
        return [work(s) for s in slices]
    return list(pool(workers).map(work, slices))


def joined(parts):
    """One array from the results of tiles, along the image index, which comes first and varies fastest in memory."""
    return parts[0] if len(parts) == 1 else np.concatenate([part.T for part in parts], axis=-1).T
