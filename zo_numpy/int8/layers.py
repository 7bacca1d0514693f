"""INT8 forwards of every layer, and the forward pass of a list of layers. No backwards: those of the tail are in tail.py.

A layer with weights takes int8 and returns its int32 accumulator; the weightless layers behind it (max-pool, ReLU,
flatten) work on the accumulator; one requantisation at the end of the block brings it back to int8, so that int8's
range is spent only on what survives pooling and ReLU (CHOICE 2). Pooling comes first, as it commutes with ReLU and
leaves four times less to do.

Shapes are (N, C, H, W) and (N, features) throughout. In memory the image index N varies fastest, (C, H, W, N): a
patch is then a few long runs to copy, and pooling a few long runs to compare. No result depends on it.
"""
import numpy as np

from .. import models
from ..tiles import for_tiles, tile_length
from .arith import QTensor, check_terms, matmul, requantise


def conv2d(x, weight, pad):
    """Convolution as one integer matrix product of the weights with the patches of x (stride 1, zero padding).

    x: (N, C, H, W) int8.  weight: (C_out, C, k, k) int8.
    Returns the accumulator (N, C_out, H + 2 pad - k + 1, W + 2 pad - k + 1) int32.
    """
    c_out, c_in, k, _ = weight.shape
    check_terms(c_in * k * k)
    x = x.transpose(1, 2, 3, 0)                                                       # (C, H, W, N)
    _, height, width, n = x.shape
    padded = np.zeros((c_in, height + 2 * pad, width + 2 * pad, n), np.int32)
    padded[:, pad:pad + height, pad:pad + width] = x
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))   # (C, H', W', N, k, k)
    patches = windows.transpose(0, 4, 5, 1, 2, 3)                                     # (C, k, k, H', W', N)
    out_shape = patches.shape[3:]
    patches = patches.reshape(c_in * k * k, -1)                                       # copies: (C k k, H' W' N)
    out = matmul(weight.reshape(c_out, -1).astype(np.int32), patches)                 # (C_out, H' W' N)
    return out.reshape(c_out, *out_shape).transpose(3, 0, 1, 2)


def max_pool2d(x, size):
    """Maximum over windows of size x size that do not overlap.  (N, C, H, W) -> (N, C, H / size, W / size), int32.

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
    """max(0, x), elementwise; int32 in and out."""
    return np.maximum(x, 0)


def flatten(x):
    """(N, C, H, W) -> (N, C H W), features in C order over (C, H, W) (CHOICE 15); the memory order is kept."""
    n = x.shape[0]
    return x.transpose(1, 2, 3, 0).reshape(-1, n).T


def linear(x, weight):
    """Fully-connected layer, no bias (CHOICE 16).

    x: (N, in) int8, weight: (out, in) int8.  Returns the accumulator (N, out) int32.
    """
    check_terms(weight.shape[1])
    return matmul(weight.astype(np.int32), np.ascontiguousarray(x.T, np.int32)).T


def apply_layer(layer, weights, x):
    """One layer of models.py on an array; `weights` maps names to QTensors."""
    match layer:
        case models.Conv2d():
            return conv2d(x, weights[layer.name].data, layer.pad)
        case models.Linear():
            return linear(x, weights[layer.name].data)
        case models.MaxPool2d():
            return max_pool2d(x, layer.size)
        case models.ReLU():
            return relu(x)
        case models.Flatten():
            return flatten(x)
    raise TypeError(f"no INT8 forward for {layer!r}")


def forward_block(block, weights, x, record=None):
    """One block: matmul, the weightless layers behind it, requantise.

    The layers run tile by tile over the batch, so that no accumulator of the whole batch exists before pooling; the
    requantisation needs the maximum over the whole batch and comes last.
    x: QTensor (N, ...).  record: None, or called as record(op, block's name, array) with what each op returns.
    Returns QTensor (N, ...).
    """
    name = block[0].name

    def run(images, record=None):
        for layer in block:
            images = apply_layer(layer, weights, images)
            if record:
                record(type(layer).__name__, name, images)
        return images

    if record:   # sees every op on the whole batch
        accumulator = run(x.data, record)
    else:
        n, *sample_shape = x.data.shape
        parts = for_tiles(n, tile_length(block, sample_shape), lambda tile: run(x.data[tile]))
        # Joined along the axis that varies fastest in memory, which is the image index.
        accumulator = parts[0] if len(parts) == 1 else np.concatenate([part.T for part in parts], axis=-1).T
    out = requantise(accumulator, x.exponent + weights[name].exponent)
    if record:
        record("requantise", name, out)
    return out


def forward(layers, weights, x, record=None):
    """The forward pass of a list of layers.  x: QTensor (N, ...) -> QTensor (N, ...)."""
    for block in models.blocks(layers):
        x = forward_block(block, weights, x, record)
    return x
