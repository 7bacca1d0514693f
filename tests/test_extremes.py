"""The ends of every range: int32 sums at +-127 throughout, the loss at its limits, floats huge, tiny or alone."""
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from zo_numpy import models
from zo_numpy.errors import Diverged
from zo_numpy.fp32 import draws as fp32_draws, elastic_zo as fp32, loss as fp32_loss, precision as fp32_precision
from zo_numpy.int8 import arith, layers, loss, points, tail
from zo_numpy.int8.arith import MAX_TERMS, QTensor
from zo_numpy.models import LENET5, POINTNET
from zo_numpy.run.checkpoint import read_checkpoint, write_checkpoint

SIGNS = [(1, 1), (1, -1), (-1, -1)]
LAYERS = {f"{model.name} {layer.name}": layer for model in (LENET5, POINTNET)
          for layer in models.weight_layers(models.integer_layers(model.layers))}


def full(shape, sign):
    return np.full(shape, 127 * sign, np.int8)


@pytest.mark.parametrize("signs", SIGNS)
@pytest.mark.parametrize("name", LAYERS)
def test_the_largest_sum_of_every_layer_is_exact(name, signs):
    layer = LAYERS[name]
    weight = full(layer.weight_shape, signs[0])
    if isinstance(layer, models.Conv2d):
        out = layers.conv2d(full((2, layer.in_channels, 14, 14), signs[1]), weight, layer.pad)[:, :, 2:-2, 2:-2]
    elif isinstance(layer, models.Linear):
        out = layers.linear(full((2, layer.in_features), signs[1]), weight)
    else:
        out = points.point_linear(full((2, 3, layer.in_channels), signs[1]), weight)
    exact = models.fan_in(layer) * 127 * 127 * signs[0] * signs[1]     # Python's integers do not wrap
    assert out.dtype == np.int32 and abs(exact) < 2**31 - 2**23
    assert_array_equal(out, np.full(out.shape, exact, np.int64))


@pytest.mark.parametrize("signs", SIGNS)
@pytest.mark.parametrize("batch", [1, 4096, MAX_TERMS])
def test_the_largest_gradient_of_a_tail_is_exact(batch, signs):
    gradient = tail.linear_gradient(full((batch, 3), signs[0]), full((batch, 5), signs[1]))
    assert gradient.dtype == np.int32
    assert_array_equal(gradient, np.full((3, 5), batch * 127 * 127 * signs[0] * signs[1], np.int64))
    for b_bp in (1, 7):
        assert np.abs(tail.gradient_step(gradient, b_bp).astype(np.int64)).max() <= 2**b_bp


def test_a_sum_that_could_wrap_is_refused():
    with pytest.raises(ValueError, match="split"):
        tail.linear_gradient(full((MAX_TERMS + 1, 1), 1), full((MAX_TERMS + 1, 1), 1))


@pytest.mark.parametrize("name", [name for name, layer in LAYERS.items() if isinstance(layer, models.Linear)])
def test_the_largest_error_passed_back_is_exact(name):
    layer = LAYERS[name]
    passed = tail.linear_backward(full((2, layer.out_features), 1), full(layer.weight_shape, -1))
    assert_array_equal(passed, np.full(passed.shape, -layer.out_features * 127 * 127, np.int64))


@pytest.mark.parametrize("terms", [1, 784, 1024, 4096, MAX_TERMS])
@pytest.mark.parametrize("sign", [1, -1])
def test_requantising_the_largest_sum_rounds_and_does_not_wrap(terms, sign):
    total = terms * 127 * 127
    shift = max(0, total.bit_length() - 7)
    expected = sign * min(127, (total + (1 << shift >> 1)) >> shift)
    out = arith.requantise(np.array([sign * total], np.int32), 0)
    assert (int(out.data[0]), out.exponent) == (expected, shift)


@pytest.mark.parametrize("exponent", [20, 21, 10**6])
def test_the_loss_at_its_limits_is_exact(exponent):
    """4,096 samples, 1,000 classes: 999 logits of 127, the label's -127.  Their distance hides the label's term."""
    data = full((4096, 1000), 1)
    data[:, 7] = -127
    u = 127 * 47274 << 22 - 15 + 20
    top = int(loss.log2_sum(np.array([999 << 30]))[0])
    assert loss.cross_entropy(QTensor(data, exponent), np.full(4096, 7)) == 4096 * (top + 2 * u) < 2**63


@pytest.mark.parametrize("exponent", [-40, -1000, -10**9])
def test_logits_that_are_next_to_nothing_lose_the_logarithm_of_the_classes(exponent):
    data = full((4096, 1000), 1)
    data[:, 7] = -127
    found = loss.cross_entropy(QTensor(data, exponent), np.full(4096, 7))
    assert abs(found / 4096 / 2**22 - np.log2(1000)) < 1e-6
    error = tail.softmax_error(QTensor(data, exponent), np.full(4096, 7))
    assert (error.data[:, 7] < 0).all() and (np.delete(error.data, 7, axis=1) >= 0).all()


def test_a_batch_or_classes_beyond_the_proof_are_refused():
    for shape in ((4097, 2), (1, 1001)):
        with pytest.raises(ValueError, match="at most"):
            loss.cross_entropy(QTensor(full(shape, 1), 0), np.zeros(shape[0], np.int64))


@pytest.mark.parametrize("number", [0, 2**63, 2**64 - 1, 2**64, 2**80])
def test_a_checkpoint_keeps_a_sum_of_losses_of_any_size(tmp_path, number):
    """An epoch of MNIST at saturated logits sums to 2^67."""
    write_checkpoint(tmp_path / "c.npz", {"w": np.zeros(3, np.int8)}, {"step": 1, "loss_sum": number})
    assert read_checkpoint(tmp_path / "c.npz")[1]["loss_sum"] == number


# FP32

def test_huge_and_tiny_logits_have_a_finite_loss():
    for huge in (1e30, 3e38):
        logits = np.array([[huge, 0], [0, huge]], np.float32)
        assert fp32_loss.cross_entropy(logits, np.array([0, 1])) == 0
    tiny = np.full((2, 4), np.float32(1e-45))
    assert abs(fp32_loss.cross_entropy(tiny, np.array([0, 1])) - np.log(4)) < 1e-6


def fp32_step(weights, model, samples, labels):
    with np.errstate(all="ignore"):
        return fp32.train_step(model, 1, weights, samples, labels, 0, 0, fp32.Settings(1e-3, 1e-3, 1e3, 1e-3))


def test_weights_beyond_the_finite_numbers_end_the_step_with_a_clear_error():
    images, labels = np.full((2, 1, 28, 28), 255, np.uint8), np.zeros(2, np.uint8)
    weights = fp32_draws.init_weights(models.NARROW_LENET, 0)
    for name in weights:
        weights[name] *= np.float32(1e30)
    with pytest.raises(Diverged, match="diverged"):
        fp32_step(weights, models.NARROW_LENET, images, labels)


@pytest.mark.parametrize("model", [models.NARROW_LENET, models.NARROW_POINTNET], ids=lambda model: model.name)
@pytest.mark.parametrize("scale", [1, 1e-42])
def test_one_sample_and_denormal_weights_train_finitely(model, scale):
    """Batch norm of one sample has the statistics of its points: they are many."""
    draw = np.random.default_rng(0)
    samples = (draw.uniform(-0.5, 0.5, (1, 24, 3)).astype(np.float32) if models.takes_points(model)
               else draw.integers(0, 256, (1, 1, 28, 28), np.uint8))
    weights = fp32_draws.init_weights(model, 0)
    for name in weights:
        weights[name] *= np.float32(scale)
    losses = fp32_step(weights, model, samples, np.zeros(1, np.uint8))
    assert np.isfinite(losses).all()
    fp32_precision.check_finite(weights, 1)


def test_one_point_of_one_sample_has_no_variance_and_stays_finite():
    weights = fp32_draws.init_weights(models.NARROW_POINTNET, 0)
    assert np.isfinite(fp32_step(weights, models.NARROW_POINTNET, np.full((1, 1, 3), 0.5, np.float32),
                                 np.zeros(1, np.uint8))).all()
