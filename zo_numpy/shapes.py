"""The layers that only move and compare numbers, the same code for int32 accumulators and for float32.

Shapes are (N, C, H, W) and (N, features). What a convolution gives lies in memory as (C, H, N, W): its patches and
its products are then a few long runs whatever the number of images. No result depends on it.
"""
import functools

import numpy as np


def patches(x, k, pad, dtype):
    """The k x k patches of zero-padded images, as the columns of a matrix (im2col), stride 1.

    The k rows of a patch are not k copies of the image: columns[i] and columns[i + 1] are the same memory, read from
    one image row further on.
    x: (N, C, H, W).  Returns (columns, (H', N, W')): columns are (k, C k, H' N W') of `dtype`, not to be written to,
    indexed by the row within the patch, by channel and column within the patch, and by the patch's position and image;
    H' = H + 2 pad - k + 1, and W' alike.
    """
    x = x.transpose(1, 2, 0, 3)                                                       # (C, H, N, W)
    c, height, n, width = x.shape
    rows, out_height, out_width = height + 2 * pad, height + 2 * pad - k + 1, width + 2 * pad - k + 1
    padded = np.zeros((c, rows, n, width + 2 * pad), x.dtype)
    padded[:, pad:pad + height, :, pad:pad + width] = x
    shifted = np.empty((c, k, rows, n, out_width), dtype)   # [:, j]: what column j of every patch sees
    for j in range(k):
        shifted[:, j] = padded[..., j:j + out_width]
    row, item = n * out_width, shifted.itemsize             # numbers in a row of all images; bytes of one
    columns = np.ndarray((k, c * k, out_height * row), dtype, shifted, 0, (row * item, rows * row * item, item))
    return columns, (out_height, n, out_width)


def max_pool2d(x, size):
    """Maximum over windows of size x size that do not overlap.  (N, C, H, W) -> (N, C, H // size, W // size).

    Rows and columns beyond the last whole window are dropped (CHOICE 37).  Raises ValueError if there is no window.
    """
    height, width = (side - side % size for side in x.shape[2:])
    if not (height and width):
        raise ValueError(f"max-pool of {size} leaves nothing of an image of {x.shape[2]} x {x.shape[3]}")
    x = x[:, :, :height, :width]
    rows = functools.reduce(np.maximum, (x[:, :, i::size] for i in range(size)))
    return functools.reduce(np.maximum, (rows[..., i::size] for i in range(size)))


def max_over_points(x):
    """The largest value of each channel over the points.  (N, P, C) -> (N, C)."""
    return x.max(axis=1)


def relu(x):
    """max(0, x), elementwise; dtype and shape stay."""
    return np.maximum(x, 0)


def flatten(x):
    """(N, C, H, W) -> (N, C H W), features in C order over (C, H, W) (CHOICE 15)."""
    return x.reshape(x.shape[0], -1)
