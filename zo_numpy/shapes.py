"""The layers that only move and compare numbers, the same code for int32 accumulators and for float32.

Shapes are (N, C, H, W) and (N, features). In memory the image index N varies fastest, (C, H, W, N): a patch is then a
few long runs to copy, and pooling a few long runs to compare. No result depends on it.
"""
import numpy as np


def patches(x, k, pad, dtype):
    """The k x k patches of zero-padded images, as the columns of a matrix (im2col), stride 1.

    x: (N, C, H, W).  Returns (columns, (H', W', N)): columns are (C k k, H' W' N) of `dtype`, with
    H' = H + 2 pad - k + 1 and W' alike.
    """
    x = x.transpose(1, 2, 3, 0)                                                       # (C, H, W, N)
    c, height, width, n = x.shape
    padded = np.zeros((c, height + 2 * pad, width + 2 * pad, n), dtype)
    padded[:, pad:pad + height, pad:pad + width] = x
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))   # (C, H', W', N, k, k)
    columns = windows.transpose(0, 4, 5, 1, 2, 3)                                     # (C, k, k, H', W', N)
    return columns.reshape(c * k * k, -1), columns.shape[3:]                          # the reshape copies


def max_pool2d(x, size):
    """Maximum over windows of size x size that do not overlap.  (N, C, H, W) -> (N, C, H / size, W / size).

    Raises ValueError unless H and W are multiples of size.
    """
    if x.shape[2] % size or x.shape[3] % size:
        raise ValueError(f"max-pool of {size} does not divide an image of {x.shape[2]} x {x.shape[3]}")
    rows = x[:, :, 0::size]
    for i in range(1, size):
        rows = np.maximum(rows, x[:, :, i::size])
    out = rows[:, :, :, 0::size]
    for i in range(1, size):
        out = np.maximum(out, rows[:, :, :, i::size])
    return out


def relu(x):
    """max(0, x), elementwise."""
    return np.maximum(x, 0)


def flatten(x):
    """(N, C, H, W) -> (N, C H W), features in C order over (C, H, W) (CHOICE 15); the memory order is kept."""
    n = x.shape[0]
    return x.transpose(1, 2, 3, 0).reshape(-1, n).T
