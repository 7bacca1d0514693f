"""The FP32 twin: forwards, loss, tail gradients, the perturbation and the step."""
import math
from decimal import Decimal

import numpy as np
import pytest
from scipy.signal import correlate2d

import twins
from zo_numpy import models
from zo_numpy.errors import Diverged
from zo_numpy.fp32 import draws, elastic_zo, layers, loss, precision, tail
from zo_numpy.fp32.draws import PIECE, perturbation
from zo_numpy.run import transfer
from zo_numpy.run.config import make_config

TINY = models.Model("tiny", (1, 6, 6), 3, (
    models.Conv2d("conv1", 1, 2, kernel=3, pad=1), models.MaxPool2d(2), models.ReLU(), models.Flatten(),
    models.Linear("fc1", 18, 6), models.ReLU(), models.Linear("fc2", 6, 5), models.ReLU(),
    models.Linear("fc3", 5, 3)))
SETTINGS = elastic_zo.Settings(eps=1e-3, eta=1e-3, clip=100.0, eta_tail=0.05)


def batch(seed=0, count=8):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, 1, 6, 6), dtype=np.uint8), draw.integers(0, 3, count).astype(np.uint8)


def in_float64(weights):
    return {name: array.astype(np.float64) for name, array in weights.items()}


def loss_of(weights, images, labels, model=TINY):
    """The mean cross-entropy in float64, through the same forwards."""
    logits = layers.forward(model.layers, weights, images.astype(np.float64) / 255)
    assert logits.dtype == np.float64
    largest = logits.max(axis=1)
    log_sums = np.log(np.exp(logits - largest[:, None]).sum(axis=1)) + largest
    return (log_sums - logits[np.arange(len(labels)), labels]).mean()


def test_conv2d_is_scipys_correlation():
    draw = np.random.default_rng(1)
    x, weight = draw.normal(size=(3, 2, 7, 5)), draw.normal(size=(4, 2, 3, 3))
    bias = draw.normal(size=4)
    got = layers.conv2d(x, weight, bias, 1)
    for n in range(3):
        for o in range(4):
            expected = sum(correlate2d(np.pad(x[n, c], 1), weight[o, c], mode="valid") for c in range(2)) + bias[o]
            np.testing.assert_allclose(got[n, o], expected, rtol=1e-12, atol=1e-12)


def test_linear_by_hand():
    got = layers.linear(np.float32([[1, 2]]), np.float32([[3, 4], [5, 6], [7, 8]]), np.float32([10, 20, 30]))
    assert got.tolist() == [[1 * 3 + 2 * 4 + 10, 1 * 5 + 2 * 6 + 20, 1 * 7 + 2 * 8 + 30]]
    assert got.dtype == np.float32


def test_every_op_of_a_forward_pass_stays_float32():
    weights, seen = draws.init_weights(TINY, 0), []
    x = layers.from_pixels(batch()[0])
    layers.forward(TINY.layers, weights, x, record=lambda op, name, value: seen.append((op, value.dtype)))
    assert {dtype for _, dtype in seen} == {np.dtype(np.float32)}
    assert [op for op, _ in seen] == [type(layer).__name__ for layer in TINY.layers]


def test_cross_entropy_by_hand_and_at_its_limits():
    logits = np.float32([[0, 0], [0, math.log(3)]])
    assert loss.cross_entropy(logits, np.array([0, 1])) == pytest.approx((math.log(2) + math.log(4 / 3)) / 2, rel=1e-6)
    huge = np.float32([[1e38, -1e38], [1e-40, 0]])      # the largest floats, and a denormal
    assert loss.cross_entropy(huge, np.array([0, 0])) == pytest.approx(math.log(2) / 2, rel=1e-6)


def without_relu(*names):
    """TINY without the ReLU before these layers."""
    kept = [layer for layer, after in zip(TINY.layers, [*TINY.layers[1:], None])
            if not (isinstance(layer, models.ReLU) and getattr(after, "name", "") in names)]
    return TINY._replace(layers=tuple(kept))


@pytest.mark.parametrize("bp_tail", [1, 2, 3])
@pytest.mark.parametrize("bare", [(), ("fc2",), ("fc3",), ("fc2", "fc3")])
def test_tail_gradients_are_central_differences(bp_tail, bare):
    model = without_relu(*bare)
    assert len(model.layers) == len(TINY.layers) - len(bare)
    weights = in_float64(draws.init_weights(model, 5))
    draw = np.random.default_rng(2)
    for name, array in weights.items():
        if name.endswith("bias"):
            array += draw.normal(size=array.shape) / 10
    images, labels = batch(3)
    head, end = models.split_tail(model.layers, bp_tail)
    features = layers.forward(head, weights, images.astype(np.float64) / 255)
    inputs = []
    logits = layers.forward(end, weights, features, inputs)
    gradients = tail.tail_gradients(end, weights, logits, inputs, labels)
    assert list(gradients) == [f"{layer.name}.{part}" for layer in reversed(models.weight_layers(end))
                               for part in ("weight", "bias")]
    for name, gradient in gradients.items():
        measured = np.empty_like(gradient)
        for index in np.ndindex(gradient.shape):
            kept, h = weights[name][index], 1e-6
            weights[name][index] = kept + h
            above = loss_of(weights, images, labels, model)
            weights[name][index] = kept - h
            measured[index] = (above - loss_of(weights, images, labels, model)) / (2 * h)
            weights[name][index] = kept
        error = np.abs(gradient - measured).max() / np.abs(measured).max()
        assert np.isfinite(error) and error <= 1e-5, name


def test_initial_weights_are_kaimings_and_biases_zero():
    weights = draws.init_weights(models.LENET5, 0)
    assert sum(array.size for array in weights.values()) == 107_786
    for layer in models.weight_layers(models.LENET5.layers):
        weight, bound = weights[layer.name + ".weight"], math.sqrt(6 / models.fan_in(layer))
        assert weight.shape == layer.weight_shape and weight.dtype == np.float32
        assert 0.97 * bound < np.abs(weight).max() <= bound * (1 + 2**-20)
        assert abs(weight.mean()) < 4 * bound / math.sqrt(3 * weight.size)
        assert not weights[layer.name + ".bias"].any()


def test_normal_is_box_muller_of_the_contracts_words():
    z = perturbation(seed=7, step=3, tensor=2, query=1, count=11)
    assert z.dtype == np.float32 and len(z) == 11
    for i, word in enumerate(twins.words(7, 1, 3, 2, 1, 6)):
        u = (((word & 0xffffffff) >> 8) + 1) * 2.0**-24
        v = ((word >> 40) + 1) * 2.0**-24
        radius = math.sqrt(-2 * math.log(u))
        pair = [radius * math.cos(2 * math.pi * v), radius * math.sin(2 * math.pi * v)]
        np.testing.assert_allclose(z[2 * i:2 * i + 2], pair[:11 - 2 * i], rtol=1e-5, atol=3e-6)


def test_normal_is_normal_and_any_element_can_be_had_alone():
    z = perturbation(0, 0, 0, 0, 2 * PIECE + 4001)
    assert abs(z.mean()) < 4 / math.sqrt(z.size) and abs(z.std() - 1) < 0.02
    assert abs((z**4).mean() - 3) < 0.25 and np.abs(z).max() <= math.sqrt(48 * math.log(2)) * (1 + 1e-6)
    np.testing.assert_array_equal(z[:PIECE + 7], perturbation(0, 0, 0, 0, PIECE + 7))
    for other in (dict(seed=1), dict(step=1), dict(tensor=1), dict(query=1)):
        assert (perturbation(**{**dict(seed=0, step=0, tensor=0, query=0, count=8), **other}) != z[:8]).all()


@pytest.mark.parametrize("eps", [1e-4, 1e-2, 1.0])
def test_perturbing_and_restoring_leaves_theta_within_2_ulp(eps):
    weights = draws.init_weights(models.LENET5, 1)
    before = {name: array.copy() for name, array in weights.items()}
    names = elastic_zo.zo_tensors(models.LENET5, 0)
    settings = SETTINGS._replace(eps=eps)
    for times in (1, -2):
        elastic_zo.perturb(weights, names, times, 0, 4, settings)
    elastic_zo.restore_and_update(weights, names, 0.0, 0, 4, settings)
    for tensor, name in names:
        z = precision.draw(settings, 0, 4, tensor, 0, before[name].size).reshape(before[name].shape)
        ulp = np.spacing(np.maximum(np.abs(before[name]), np.float32(eps) * np.abs(z)))
        error = np.abs(weights[name].astype(np.float64) - before[name]) / ulp
        assert np.isfinite(error).all() and error.max() <= 2


def test_g_is_clipped_on_both_sides():
    images, labels = batch(4)
    for seed in range(6):
        *_, free = elastic_zo.train_step(TINY, 0, draws.init_weights(TINY, 2), images, labels, seed, 0, SETTINGS)
        limit = abs(free) / 2
        *_, g = elastic_zo.train_step(TINY, 0, draws.init_weights(TINY, 2), images, labels, seed, 0,
                                      SETTINGS._replace(clip=limit))
        assert g == math.copysign(limit, free)


def final_loss(bp_tail, settings, steps=150, eta_sign=1):
    images, labels = batch(8, 48)
    weights = draws.init_weights(TINY, 3)
    settings = settings._replace(eta=settings.eta * eta_sign)
    for step in range(steps):
        elastic_zo.train_step(TINY, bp_tail, weights, images, labels, 0, step, settings)
    return loss_of(in_float64(weights), images, labels)


def test_the_right_sign_beats_standing_still_and_the_inverted_one_does_not():
    settings = SETTINGS._replace(eta=3e-3)
    weights = draws.init_weights(TINY, 3)
    still = loss_of(in_float64(weights), *batch(8, 48))
    assert final_loss(0, settings) < still - 0.05
    assert final_loss(0, settings, eta_sign=-1) > still + 0.05


def test_a_diverged_run_says_which_step_and_what_to_do():
    weights = draws.init_weights(TINY, 2)
    weights["fc3.weight"][0, 0] = np.nan
    with pytest.raises(Diverged, match="step 17 is nan.*lower --eta"):
        elastic_zo.train_step(TINY, 1, weights, *batch(), 0, 17, SETTINGS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_named(bad):
    weights = draws.init_weights(TINY, 2)
    precision.check_finite(weights, 5)
    weights["fc2.bias"][3] = bad
    with pytest.raises(Diverged, match="fc2.bias is not finite after step 4: .*lower --eta"):
        precision.check_finite(weights, 5)


def test_fp32_weights_become_int8_and_back():
    config = make_config({"precision": "int8", "headroom": (0, 1, 2, 3, 0)})
    weights = draws.init_weights(models.LENET5, 0)
    quantised = transfer.to_int8(weights, config)
    back = transfer.to_fp32(quantised, config)
    for (name, (data, exponent)), headroom in zip(quantised.items(), config.headroom):
        largest = int(np.abs(data).max())
        assert data.dtype == np.int8 and (127 >> headroom) // 2 <= largest <= 127 >> headroom
        error = np.abs(back[name + ".weight"] - weights[name + ".weight"]).max()
        assert error <= 2.0**exponent / 2 * (1 + 1e-6)
    assert all(not back[name].any() for name in back if name.endswith("bias"))
    zero, exponent = transfer.quantised(np.zeros((2, 2), np.float32), 0)
    assert not zero.any() and exponent == 0


def test_a_mean_loss_has_four_decimals():
    assert precision.mean_loss(6.0, 2) == Decimal("3.0000")
    assert precision.mean_loss(2.0, 3) == Decimal("0.6667")
