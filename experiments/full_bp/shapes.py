"""Backwards of the layers that only move and compare numbers, the same code for integers and for floats.

They undo the forwards of zo_numpy/shapes.py. No result depends on the order of axes in memory.
"""
import numpy as np

from zo_numpy import models


def pooling(block):
    """The max-pool of a block, or None.  Raises ValueError if there are two: places of one are kept."""
    found = [layer for layer in block if isinstance(layer, models.MaxPool2d)]
    if len(found) > 1:
        raise ValueError(f"{block[0].name}: no backward for two max-pools after one layer")
    return found[0] if found else None


def places_shape(block, sample_shape):
    """The shape of one sample after a block's max-pool."""
    return models.output_shape(block[:block.index(pooling(block)) + 1], sample_shape)


def max_pool2d_argmax(x, size):
    """Where in its window each maximum of a max-pool lies: row * size + column, of equals the first.

    x: (N, C, H, W), what is pooled.  Returns (N, C, H // size, W // size) uint8.
    Raises ValueError if a window has more places than a uint8 can tell apart.
    """
    if size > 16:
        raise ValueError(f"max-pool of {size}: a place in its window does not fit one byte; at most 16")
    x = x[:, :, :x.shape[2] - x.shape[2] % size, :x.shape[3] - x.shape[3] % size]   # whole windows
    best = x[:, :, 0::size, 0::size]
    where = np.zeros_like(best, np.uint8)
    for place in range(1, size * size):
        row, column = divmod(place, size)
        candidate = x[:, :, row::size, column::size]
        np.copyto(where, np.uint8(place), where=candidate > best)
        best = np.maximum(best, candidate)
    return where


def max_pool2d_backward(error, where, size, sides):
    """The error of a max-pool's input: each element goes to the place its maximum came from, zero elsewhere.

    error: (N, C, H', W').  where: the same shape, from `max_pool2d_argmax`.  sides: (H, W) of what was pooled.
    Returns (N, C, H, W) of error's dtype.
    """
    n, c, height, width = error.shape
    rows, columns = sides
    passed = np.empty((c, rows, n, columns), error.dtype).transpose(2, 0, 1, 3)
    passed[:, :, height * size:] = 0          # what the pool dropped
    passed[:, :, :, width * size:] = 0
    windows = passed[:, :, :height * size, :width * size]
    for place in range(size * size):
        row, column = divmod(place, size)
        windows[:, :, row::size, column::size] = np.where(where == place, error, 0)
    return passed


def flatten_backward(error, shape):
    """(N, C H W) -> (N, C, H, W), features in C order over shape = (C, H, W)."""
    return error.reshape(-1, *shape)


def transposed(conv):
    """The convolution that carries errors back through `conv`: outputs become inputs, with the kernel turned.

    Raises ValueError if it pads by more than its kernel reaches.
    """
    if conv.pad > conv.kernel - 1:
        raise ValueError(f"{conv.name}: no backward for padding {conv.pad} with a kernel of {conv.kernel}")
    pad = conv.kernel - 1 - conv.pad
    return conv._replace(in_channels=conv.out_channels, out_channels=conv.in_channels, pad=pad)


def turned(weight):
    """A convolution's weights as its `transposed` needs them.  (C_out, C, k, k) -> (C, C_out, k, k)."""
    return weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)


def added_by_point(where, rows):
    """Sums the rows that belong to the same point.  where: (C,), the point of each row.  rows: (C, k).

    Returns (points that have any, ascending; their sums, (points, k) of rows' dtype).
    """
    order = np.argsort(where, kind="stable")
    points, starts = np.unique(where[order], return_index=True)
    return points, np.add.reduceat(rows[order], starts, axis=0, dtype=rows.dtype)
