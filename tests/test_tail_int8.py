"""INT8 tail: error, gradients and update against the twin, and the gradient's direction against float64."""
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import twins
import twins_training
from zo_numpy.int8.arith import QTensor
from zo_numpy.int8.layers import forward
from zo_numpy.int8.tail import gradient_step, relu_backward, softmax_error, tail_gradients, update_tail
from zo_numpy.int8.variants import add_steps
from zo_numpy.models import Linear, ReLU

TAIL = (Linear("a", 12, 9), ReLU(), Linear("b", 9, 8), ReLU(), Linear("c", 8, 5))
# Without a ReLU before these layers:
BARE = {"b": TAIL[:1] + TAIL[2:], "c": TAIL[:3] + TAIL[4:], "bc": TAIL[:1] + TAIL[2:3] + TAIL[4:]}


def tail_of(bp_tail):
    return TAIL[2 * (3 - bp_tail):]


def random_tail(seed, bp_tail, n, bound=127):
    """(layers, weights, input, labels) of a random tail; the input is what a ReLU leaves, as it would be.

    bp_tail: a number of layers, or which of BARE.
    """
    draw = np.random.default_rng(seed)
    layers = BARE[bp_tail] if bp_tail in BARE else tail_of(bp_tail)
    weights = {layer.name: QTensor(draw.integers(-bound, bound + 1, layer.weight_shape).astype(np.int8), -8)
               for layer in layers if isinstance(layer, Linear)}
    x = np.maximum(draw.integers(-127, 128, (n, layers[0].in_features)), 0).astype(np.int8)
    return layers, weights, QTensor(x, -6), draw.integers(0, 5, n).astype(np.uint8)


def pass_through(layers, weights, x):
    """(logits, [the input of each linear layer]) of a forward pass through a tail."""
    inputs = []
    return forward(layers, weights, x, inputs), inputs


def as_pairs(weights):
    return {name: (weight.data.tolist(), weight.exponent) for name, weight in weights.items()}


def assert_pair(got, expected):
    assert got.data.dtype == np.int8
    assert (got.data.tolist(), got.exponent) == expected


@pytest.mark.parametrize("exponent", [-40, -12, -8, -6, -5, -4, -2, 0, 3, 20, 30])
@pytest.mark.parametrize("n, classes", [(1, 2), (5, 10), (33, 3), (2, 1000)])
def test_softmax_error_equals_the_twin(exponent, n, classes):
    draw = np.random.default_rng(n)
    data = draw.integers(-127, 128, (n, classes)).astype(np.int8)
    labels = draw.integers(0, classes, n)
    expected = twins_training.softmax_error((data.tolist(), exponent), labels.tolist())
    assert_pair(softmax_error(QTensor(data, exponent), labels), expected)
    assert_pair(softmax_error(QTensor(np.asfortranarray(data), exponent), labels), expected)


def test_softmax_error_by_hand():
    # Two equal logits: (2^15 / 2, 2^15 / 2 - 2^15), 15 bits wide, so shifted by 15 - 7.
    got = softmax_error(QTensor(np.int8([[5, 5]]), 0), np.uint8([1]))
    assert (got.data.tolist(), got.exponent) == ([[2**14 >> 8, -(2**14 >> 8)]], -15 + 8)
    # Certain and wrong: +-2^15 is 16 bits wide; half of 2^7, so no clipping.
    got = softmax_error(QTensor(np.int8([[127, -127]]), 0), np.uint8([1]))
    assert (got.data.tolist(), got.exponent) == ([[2**15 >> 9, -(2**15 >> 9)]], -15 + 9)
    # Certain and right: nothing to learn, and no shift.
    got = softmax_error(QTensor(np.int8([[127, -127]]), 0), np.uint8([0]))
    assert (got.data.tolist(), got.exponent) == ([[0, 0]], -15)
    # Softmax is floored: a third of 2^15 three times leaves one over, which the label's error shows.
    got = softmax_error(QTensor(np.int8([[9, 9, 9]]), 0), np.uint8([2]))
    third = 2**15 // 3
    assert got.data.tolist() == [[(third + 2**7) >> 8, (third + 2**7) >> 8, -((2**15 - third + 2**7) >> 8)]]


@pytest.mark.parametrize("exponent", [-8, -5, -3])
def test_softmax_error_against_float64(exponent):
    draw = np.random.default_rng(0)
    data, labels = draw.integers(-127, 128, (50, 10)).astype(np.int8), draw.integers(0, 10, 50)
    powers = np.exp(data * 2.0**exponent)
    truth = powers / powers.sum(axis=1, keepdims=True) - np.eye(10)[labels]
    got = softmax_error(QTensor(data, exponent), labels)
    step = 2.0**got.exponent
    # Half a step of rounding (a whole one where 128 was clipped), 2^-15 of flooring, and log2(e) in 15 bits:
    # 5e-6 of a difference of logits.
    rounding = np.where(np.abs(got.data.astype(int)) == 127, step, step / 2)
    assert (np.abs(got.data * step - truth) <= rounding + 2.0**-15 + 5e-6 * 254 * 2.0**exponent).all()


@pytest.mark.parametrize("bp_tail", [1, 2, 3, *BARE])
@pytest.mark.parametrize("n", [1, 2, 17])
def test_forward_and_gradients_equal_the_twin(bp_tail, n):
    for seed in range(4):
        layers, weights, x, labels = random_tail(seed, bp_tail, n)
        logits, inputs = pass_through(layers, weights, x)
        twin_logits, twin_inputs = twins.forward(layers, as_pairs(weights), (x.data.tolist(), x.exponent))
        assert_pair(logits, twin_logits)
        assert len(inputs) == len(twin_inputs) == (bp_tail if type(bp_tail) is int else 3)
        for got, expected in zip(inputs, twin_inputs.values()):
            assert_pair(got, expected)

        gradients = tail_gradients(layers, weights, logits, inputs, labels)
        exponents = {}
        expected = twins_training.tail_gradients(list(weights), as_pairs(weights), twin_logits, twin_inputs,
                                                 labels.tolist(), exponents, bp_tail if bp_tail in BARE else ())
        assert list(gradients) == list(weights)[::-1]
        for name in weights:
            assert gradients[name].data.dtype == np.int32
            assert gradients[name].data.tolist() == expected[name]
            assert gradients[name].exponent == exponents[name]


def test_an_empty_tail_passes_its_input_on():
    x = QTensor(np.int8([[1, 2]]), -3)
    assert pass_through((), {}, x) == (x, [])
    assert tail_gradients((), {}, x, [], np.uint8([0])) == {}


def float_loss(layers, weights, x, labels):
    """Cross-entropy in nats of the tail in float64, without requantisation."""
    for layer in layers:
        x = x @ weights[layer.name].T if isinstance(layer, Linear) else np.maximum(x, 0)
    x = x - x.max(axis=1, keepdims=True)
    return (np.log(np.exp(x).sum(axis=1)) - x[np.arange(len(labels)), labels]).sum()


@pytest.mark.parametrize("bp_tail", [1, 2, 3, *BARE])
def test_gradients_point_where_central_differences_do(bp_tail):
    layers, weights, x, labels = random_tail(7, bp_tail, n=24)
    real = {name: weight.data * 2.0**weight.exponent for name, weight in weights.items()}
    x_real = x.data * 2.0**x.exponent
    logits, inputs = pass_through(layers, weights, x)
    gradients = {name: gradient.data for name, gradient in
                 tail_gradients(layers, weights, logits, inputs, labels).items()}
    h = 1e-5
    for name, weight in real.items():
        slopes = np.empty_like(weight)
        for place in np.ndindex(weight.shape):
            ends = []
            for sign in (1, -1):
                moved = weight.copy()
                moved[place] += sign * h
                ends.append(float_loss(layers, {**real, name: moved}, x_real, labels))
            slopes[place] = (ends[0] - ends[1]) / (2 * h)
        assert np.isfinite(slopes).all() and np.linalg.norm(slopes) > 1e-3
        cosine = (slopes * gradients[name]).sum() / np.linalg.norm(slopes) / np.linalg.norm(gradients[name])
        # Behind a ReLU, a unit whose activation rounds to zero in int8 is off, and barely on in float64.
        assert cosine > (0.999 if name == "c" else 0.95)


def test_backward_changes_neither_weights_nor_activations():
    layers, weights, x, labels = random_tail(3, 3, n=6)
    logits, inputs = pass_through(layers, weights, x)
    everything = [w.data for w in weights.values()] + [logits.data] + [i.data for i in inputs]
    before = [array.copy() for array in everything]
    tail_gradients(layers, weights, logits, inputs, labels)
    for array, copy in zip(everything, before):
        assert_array_equal(array, copy)


def test_relu_backward_is_off_at_zero():
    error = np.int32([[-70_000, 5, 9, 2**30]])
    x = np.int8([[1, 0, -3, 127]])
    got = relu_backward(error, x)
    assert got.dtype == np.int32
    assert got.tolist() == [[-70_000, 0, 0, 2**30]]
    assert got.tolist() == twins_training.relu_backward(error.tolist(), x.tolist())


def random_gradient(seed, largest):
    gradient = np.random.default_rng(seed).integers(-largest, largest + 1, (7, 9)).astype(np.int32)
    gradient[seed % 7, 3] = largest if seed % 2 else -largest
    return gradient


@pytest.mark.parametrize("b_bp", range(1, 8))
@pytest.mark.parametrize("largest", [1, 2, 3, 127, 128, 255, 256, 2**15, 2**30, 2**31 - 2**23 - 1])
def test_gradient_step_equals_the_twin(b_bp, largest):
    for seed in range(4):
        gradient = random_gradient(seed, largest)
        step = gradient_step(gradient, b_bp)
        assert step.dtype == np.int32
        assert step.tolist() == twins_training.gradient_step(gradient.tolist(), b_bp)
        assert np.abs(step).max() <= 2**b_bp
        assert np.abs(step).max() >= min(largest, 2**(b_bp - 1))


def test_gradient_step_by_hand():
    # 200 is 8 bits wide: to keep 3, shift by 5. 200 = 6 * 32 + 0b01000: high 0b010, low 0b00 * 2.
    assert gradient_step(np.int32([200, -200, 31]), 3).tolist() == [6 + 1, -(6 + 1), 0 + (0b111 > 0b11 * 2)]
    # The step may reach 2^b_bp: 255 is 7 * 32 + 31, and 31's high 0b111 > low 0b11 * 2.
    assert gradient_step(np.int32([255]), 3).tolist() == [7 + (0b111 > 0b11 * 2)] == [2**3]
    # Few bits are left as they are.
    assert gradient_step(np.int32([3, -2]), 3).tolist() == [3, -2]


def test_a_gradient_of_zeros_makes_no_step():
    zeros = np.zeros((3, 4), np.int32)
    for b_bp in range(1, 8):
        assert_array_equal(gradient_step(zeros, b_bp), zeros)
    weights = {"c": QTensor(np.int8([[1, -127, 127]]), -8)}
    update_tail(weights, {"c": np.zeros((1, 3), np.int32)})
    assert weights["c"].data.tolist() == [[1, -127, 127]]


def test_update_subtracts_clips_and_works_in_place():
    data = np.int8([[100, -100, 127, -127, 5]])
    step = np.int32([[-128, 128, 0, 1, 7]])                        # 2^7: does not fit an int8
    update_tail({"c": QTensor(data, -8)}, {"c": step})
    assert data.tolist() == [[127, -127, 127, -127, 5 - 7]]
    draw = np.random.default_rng(0)
    data, step = draw.integers(-127, 128, (20, 30)).astype(np.int8), draw.integers(-256, 257, (20, 30))
    expected = twins_training.update(data.tolist(), step.tolist())
    update_tail({"c": QTensor(data, -8)}, {"c": step.astype(np.int32)})
    assert data.tolist() == expected


def test_one_update_lowers_the_float_loss():
    for bp_tail in (1, 2, 3):
        layers, weights, x, labels = random_tail(5, bp_tail, n=30, bound=60)

        def loss_now():
            real = {name: weight.data * 2.0**weight.exponent for name, weight in weights.items()}
            return float_loss(layers, real, x.data * 2.0**x.exponent, labels)

        before = loss_now()
        logits, inputs = pass_through(layers, weights, x)
        gradients = tail_gradients(layers, weights, logits, inputs, labels)
        update_tail(weights, {name: gradient_step(gradient.data, 3) for name, gradient in gradients.items()})
        assert loss_now() < before


def test_add_steps_sums_name_by_name_without_wrapping():
    first = {"b": np.int32([128, -128]), "c": np.int32([1, 2])}
    second = {"c": np.int32([3, -5]), "b": np.int32([128, -128])}
    total = add_steps(first, second)
    assert {name: step.tolist() for name, step in total.items()} == {"b": [256, -256], "c": [1 + 3, 2 - 5]}


def test_gradients_do_not_depend_on_layout():
    layers, weights, x, labels = random_tail(9, 3, n=11)
    logits, inputs = pass_through(layers, weights, x)
    expected = tail_gradients(layers, weights, logits, inputs, labels)
    turned = {name: QTensor(np.asfortranarray(w.data), w.exponent) for name, w in weights.items()}
    logits, inputs = pass_through(layers, turned, QTensor(np.asfortranarray(x.data), x.exponent))
    got = tail_gradients(layers, turned, logits, inputs, labels)
    for name, gradient in expected.items():
        assert_array_equal(got[name].data, gradient.data)
