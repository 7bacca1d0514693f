"""INT8 forwards: each layer against its twin and against SciPy, int32 at the extremes, blocks, layout."""
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.signal import correlate2d

import twins
from zo_numpy import models
from zo_numpy.int8 import layers, tail, tiled
from zo_numpy.int8.arith import MAX_TERMS, QTensor
from zo_numpy.models import LENET5, Conv2d, Flatten, Linear, MaxPool2d, ReLU

# n, c_in, c_out, height, width, kernel, pad
CONVOLUTIONS = [(1, 1, 1, 1, 1, 1, 0), (1, 1, 6, 7, 7, 5, 2), (2, 3, 2, 5, 5, 3, 1), (3, 2, 4, 6, 9, 3, 0),
                (5, 1, 2, 4, 5, 2, 1), (2, 6, 3, 5, 5, 5, 2), (1, 2, 1, 3, 3, 3, 0)]


def random_int8(seed, shape):
    """Random values with many at the ends: 0, +-1, +-127."""
    draw = np.random.default_rng(seed)
    values = draw.integers(-127, 128, shape)
    edges = draw.choice([-127, -1, 0, 1, 127], shape)
    return np.where(draw.integers(0, 3, shape) == 0, edges, values).astype(np.int8)


def strided(array):
    """The same values with gaps in memory and axes in another order."""
    gaps = np.repeat(array, 2, axis=-1)[..., ::2]
    assert_array_equal(gaps, array)
    return gaps if array.ndim == 1 else np.moveaxis(np.moveaxis(gaps, 0, -1).copy(order="C"), -1, 0)


def assert_same(fast, expected):
    assert fast.dtype == np.int32
    assert fast.tolist() == expected


@pytest.mark.parametrize("n, c_in, c_out, height, width, k, pad", CONVOLUTIONS)
def test_conv2d_equals_the_twin(n, c_in, c_out, height, width, k, pad):
    x, weight = random_int8(n, (n, c_in, height, width)), random_int8(k, (c_out, c_in, k, k))
    expected = twins.conv2d(x.tolist(), weight.tolist(), pad)
    assert_same(layers.conv2d(x, weight, pad), expected)
    assert_same(layers.conv2d(strided(x), strided(weight), pad), expected)


@pytest.mark.parametrize("n, c_in, c_out, height, width, k, pad", CONVOLUTIONS)
def test_conv2d_equals_scipy(n, c_in, c_out, height, width, k, pad):
    x, weight = random_int8(n, (n, c_in, height, width)), random_int8(k, (c_out, c_in, k, k))
    padded = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    expected = [[sum(correlate2d(image[c], kernel[c].astype(np.int64), mode="valid") for c in range(c_in))
                 for kernel in weight] for image in padded]
    assert_array_equal(layers.conv2d(x, weight, pad), np.array(expected))


def test_conv2d_does_not_flip_its_kernel():
    x = np.zeros((1, 1, 3, 3), np.int8)
    x[0, 0, 0, 1] = 1
    weight = np.arange(1, 10, dtype=np.int8).reshape(1, 1, 3, 3)
    assert layers.conv2d(x, weight, 0).item() == weight[0, 0, 0, 1]


@pytest.mark.parametrize("shape, size",
                         [((1, 1, 2, 2), 2), ((3, 2, 4, 6), 2), ((2, 1, 9, 3), 3), ((2, 3, 5, 5), 1),
                          ((2, 1, 5, 4), 2), ((1, 2, 4, 7), 2), ((1, 1, 11, 10), 3)])
def test_max_pool2d_equals_the_twin(shape, size):
    x = np.random.default_rng(size).integers(-2**31, 2**31, shape).astype(np.int32)
    assert_same(layers.max_pool2d(x, size), twins.max_pool2d(x.tolist(), size))
    assert_same(layers.max_pool2d(strided(x), size), twins.max_pool2d(x.tolist(), size))


@pytest.mark.parametrize("shape", [(1, 1, 1, 4), (1, 1, 4, 1)])
def test_max_pool2d_refuses_an_image_without_a_window(shape):
    with pytest.raises(ValueError, match=f"2.*{shape[2]} x {shape[3]}"):
        layers.max_pool2d(np.zeros(shape, np.int32), 2)


def test_relu_equals_the_twin():
    x = np.array([[-2**31, -128, -1, 0], [1, 127, 128, 2**31 - 1]], np.int32)
    assert_same(layers.relu(x), twins.relu(x.tolist()))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 2, 2), (3, 2, 4, 5)])
def test_flatten_is_in_c_order_whatever_the_memory_order(shape):
    x = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    expected = twins.flatten(x.tolist())
    assert_array_equal(x.reshape(shape[0], -1), expected)
    for view in (x, np.asfortranarray(x), strided(x)):
        assert_same(layers.flatten(view), expected)


@pytest.mark.parametrize("n, n_in, n_out", [(1, 1, 1), (1, 7, 3), (5, 3, 1), (4, 33, 10)])
def test_linear_equals_the_twin(n, n_in, n_out):
    x, weight = random_int8(n, (n, n_in)), random_int8(n_out, (n_out, n_in))
    expected = twins.linear(x.tolist(), weight.tolist())
    assert_same(layers.linear(x, weight), expected)
    assert_same(layers.linear(strided(x), np.asfortranarray(weight)), expected)


def test_forwards_leave_their_arguments_alone():
    x, weight = random_int8(0, (2, 3, 4, 4)), random_int8(1, (5, 3, 4, 4))
    before = x.copy(), weight.copy()
    layers.conv2d(x, weight, 1)
    layers.linear(x.reshape(2, -1), weight.reshape(5, -1))
    accumulator = x.astype(np.int32)
    layers.max_pool2d(accumulator, 2), layers.relu(accumulator), layers.flatten(accumulator)
    assert_array_equal(x, before[0])
    assert_array_equal(weight, before[1])
    assert_array_equal(accumulator, before[0])


@pytest.mark.parametrize("layer", models.weight_layers(LENET5.layers), ids=lambda layer: layer.name)
@pytest.mark.parametrize("x_sign, weight_sign", [(1, 1), (1, -1), (-1, -1)])
def test_every_layer_of_lenet5_at_the_extremes(layer, x_sign, weight_sign):
    """All inputs and weights at +-127: the accumulator and, in the tail, both backward products."""
    n, weight = 3, np.full(layer.weight_shape, 127 * weight_sign, np.int8)
    product = 127 * x_sign * 127 * weight_sign
    if isinstance(layer, Conv2d):
        size = {"conv1": 28, "conv2": 14}[layer.name]
        x = np.full((n, layer.in_channels, size, size), 127 * x_sign, np.int8)
        accumulator = layers.conv2d(x, weight, layer.pad)
        assert accumulator.dtype == np.int32
        inner = accumulator[:, :, 2:-2, 2:-2]                      # where no padding is seen
        assert inner.size and (inner == product * layer.in_channels * layer.kernel**2).all()
        corner = accumulator[:, :, 0, 0]
        assert (corner == product * layer.in_channels * 3 * 3).all()
        return
    x = np.full((n, layer.in_features), 127 * x_sign, np.int8)
    assert_same(layers.linear(x, weight), [[product * layer.in_features] * layer.out_features] * n)
    error = np.full((n, layer.out_features), 127 * x_sign, np.int8)
    assert_same(tail.linear_backward(error, weight),
                [[product * layer.out_features] * layer.in_features] * n)
    batch = 4096
    gradient = tail.linear_gradient(np.full((batch, layer.out_features), 127 * weight_sign, np.int8),
                                    np.full((batch, layer.in_features), 127 * x_sign, np.int8))
    assert gradient.dtype == np.int32 and gradient.shape == layer.weight_shape
    assert (gradient == product * batch).all()
    assert abs(product * batch) < 2**31 - 2**23


def test_more_terms_than_an_int32_holds_are_refused():
    row = np.full((1, MAX_TERMS + 1), 127, np.int8)
    column = np.full((MAX_TERMS + 1, 1), 127, np.int8)
    assert layers.linear(row[:, 1:], row[:, 1:]).tolist() == [[MAX_TERMS * 127 * 127]]
    assert tail.linear_gradient(column[1:], column[1:]).tolist() == [[MAX_TERMS * 127 * 127]]
    assert tail.linear_backward(row[:, 1:], column[1:]).tolist() == [[MAX_TERMS * 127 * 127]]
    with pytest.raises(ValueError, match="int32"):
        layers.linear(row, row)
    with pytest.raises(ValueError, match="int32"):
        tail.linear_gradient(column, column)
    with pytest.raises(ValueError, match="int32"):
        tail.linear_backward(row, column)
    channels = MAX_TERMS // 25 + 1
    with pytest.raises(ValueError, match="int32"):
        layers.conv2d(np.zeros((1, channels, 5, 5), np.int8), np.zeros((1, channels, 5, 5), np.int8), 0)


BLOCKS = {
    "conv, pool, relu": ((Conv2d("w", 2, 3, 3, 1), MaxPool2d(2), ReLU()), (5, 2, 6, 4)),
    "conv, relu, flatten": ((Conv2d("w", 1, 2, 3, 0), ReLU(), Flatten()), (3, 1, 5, 4)),
    "linear, relu": ((Linear("w", 20, 7), ReLU()), (4, 20)),
    "linear": ((Linear("w", 20, 7),), (1, 20)),
}


@pytest.mark.parametrize("block, shape", BLOCKS.values(), ids=BLOCKS.keys())
@pytest.mark.parametrize("scale", [127, 3, 0])
def test_forward_block_equals_the_twin(block, shape, scale):
    x = np.clip(random_int8(1, shape), -scale, scale)
    weight = np.clip(random_int8(2, block[0].weight_shape), -scale, scale)
    got = layers.forward_block(block, {"w": QTensor(weight, -9)}, QTensor(x, -7))
    (data, exponent), _ = twins.forward(block, {"w": (weight.tolist(), -9)}, (x.tolist(), -7))
    assert got.data.dtype == np.int8
    assert got.data.tolist() == data
    assert got.exponent == exponent


def test_a_block_spends_int8_on_what_survives_pooling_and_relu():
    """One large negative accumulator would set the shift if requantisation came before ReLU (CHOICE 2)."""
    block = (Linear("w", 1, 2), ReLU())
    got = layers.forward_block(block, {"w": QTensor(np.int8([[-127], [1]]), 0)}, QTensor(np.int8([[100]]), 0))
    assert got.data.tolist() == [[0, 100 * 1]]
    assert got.exponent == 0


def test_lenet5_forward_equals_the_twin():
    draw = np.random.default_rng(3)
    x = np.clip(draw.integers(-100, 128, (2, 1, 28, 28)), 0, 127).astype(np.int8)
    weights = {layer.name: QTensor(draw.integers(-31, 32, layer.weight_shape).astype(np.int8), -8)
               for layer in models.weight_layers(LENET5.layers)}
    got = layers.forward(LENET5.layers, weights, QTensor(x, -7))
    twin_weights = {name: (weight.data.tolist(), weight.exponent) for name, weight in weights.items()}
    (data, exponent), _ = twins.forward(LENET5.layers, twin_weights, (x.tolist(), -7))
    assert got.data.tolist() == data
    assert got.exponent == exponent
    assert np.unique(got.data).size > 5


def test_an_unknown_layer_is_refused():
    with pytest.raises(TypeError, match="str|'softmax'"):
        layers.apply_layer("softmax", {}, np.zeros((1, 1), np.int32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint16, bool])
def test_samples_of_other_types_are_refused(dtype):
    """Pixels as floats from 0 to 1, as Keras has them, would all become 0 or 1."""
    for network_input in (layers.network_input, lambda images: tiled.forward(LENET5.layers, {}, images)):
        with pytest.raises(TypeError, match=f"samples of {np.dtype(dtype)}: give images as uint8"):
            network_input(np.zeros((2, 1, 28, 28), dtype))
