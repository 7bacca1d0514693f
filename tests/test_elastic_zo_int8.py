"""ElasticZO-INT8: initialisation, perturbation, sign and size of an update, the whole step against its twin.

The control, right sign against none against the wrong one, stands at the end.
"""
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import twins
import twins_training
from zo_numpy import models
from zo_numpy.int8 import elastic_zo, variants
from zo_numpy.int8.arith import QTensor
from zo_numpy.int8.draws import init_weights
from zo_numpy.int8.elastic_zo import Settings, perturb, restore_and_update, train_step, zo_tensors
from zo_numpy.int8.loss import cross_entropy
from zo_numpy.int8.precision import clip_for_zo, logits_of
from zo_numpy.int8.variants import Variant
from zo_numpy.models import LENET5, Conv2d, Flatten, Linear, MaxPool2d, Model, ReLU

TINY = Model("tiny", (1, 6, 6), 4, (
    Conv2d("conv1", 1, 2, kernel=3, pad=1), MaxPool2d(2), ReLU(),
    Conv2d("conv2", 2, 3, kernel=2, pad=1), MaxPool2d(2), ReLU(), Flatten(),
    Linear("fc1", 12, 8), ReLU(),
    Linear("fc2", 8, 6), ReLU(),
    Linear("fc3", 6, 4),
))
SETTINGS = Settings(r_max=15, p_zero=64, b_zo=2, b_bp=4, r_limit=31)
FROZEN = Variant(frozen=True)
K_OF_R_MAX = {1: 1, 3: 2, 7: 3, 15: 4, 31: 5, 63: 6}


def headroom(model, h):
    return {layer.name: h for layer in models.weight_layers(model.layers)}


def fresh(model, bp_tail, seed=0, h=1, r_limit=31):
    weights = init_weights(model, seed, headroom(model, h))
    clip_for_zo(weights, zo_tensors(model, bp_tail), r_limit)
    return weights


def batch(model, seed, n=5):
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (n, *model.input_shape), dtype=np.uint8)
    return images, draw.integers(0, model.classes, n).astype(np.uint8)


def data_of(weights):
    return {name: weight.data.tolist() for name, weight in weights.items()}


def as_pairs(weights):
    return {name: (weight.data.tolist(), weight.exponent) for name, weight in weights.items()}


# Initialisation

def test_exponents_of_lenet5():
    weights = init_weights(LENET5, 0, headroom(LENET5, 0))
    assert [w.exponent for w in weights.values()] == [-8, -9, -11, -9, -9]
    for layer, weight in zip(models.weight_layers(LENET5.layers), weights.values()):
        k, fan_in = -weight.exponent, models.fan_in(layer)
        assert 12 * 4**k >= 127**2 * fan_in > 12 * 4**(k - 1)
        # 127 * 2^-k is the nearest such number to Kaiming's uniform bound, sqrt(6 / fan_in).
        assert 0.5 < (127 * 2.0**-k)**2 / (6 / fan_in) <= 2


@pytest.mark.parametrize("h", [0, 1, 2, 6])
def test_init_weights_equal_the_twin(h):
    weights = init_weights(TINY, 77, headroom(TINY, h))
    expected = twins_training.init_weights(TINY, 77, headroom(TINY, h))
    assert as_pairs(weights) == expected and list(weights) == list(expected)
    for weight in weights.values():
        assert weight.data.dtype == np.int8
        assert np.abs(weight.data).max() <= 127 >> h


def test_init_weights_of_lenet5_equal_the_twin():
    hs = dict(zip(headroom(LENET5, 0), (2, 0, 1, 3, 2)))
    weights = init_weights(LENET5, 3, hs)
    for tensor, (name, weight) in enumerate(weights.items()):
        first = weight.data.reshape(-1)[:2_000].tolist()
        assert first == twins.uniform_int8(3, tensor, len(first), 127 >> hs[name])
        assert weight.exponent == twins_training.init_exponent(weight.data[0].size, hs[name])
        assert np.abs(weight.data).max() == 127 >> hs[name] or weight.data.size < 1_000


def test_clip_for_zo_leaves_the_tail_alone():
    weights = init_weights(TINY, 0, headroom(TINY, 0))
    before = data_of(weights)
    clip_for_zo(weights, zo_tensors(TINY, 1), 63)
    for name, weight in weights.items():
        bound = 127 if name == "fc3" else 127 - 63
        assert weight.data.tolist() == twins.mapped(lambda w: twins.clip(w, bound), before[name])


@pytest.mark.parametrize("bp_tail", range(4))
def test_zo_tensors_are_what_is_below_the_tail(bp_tail):
    names = ["conv1", "conv2", "fc1", "fc2", "fc3"][:5 - bp_tail]
    assert zo_tensors(LENET5, bp_tail) == list(enumerate(names))


# Perturbation

def ends_and_random(bound, size):
    """Random values in [-bound, bound], one in four at each end.  (size,) int8"""
    draw = np.random.default_rng(bound)
    values, where = draw.integers(-bound, bound + 1, size), draw.integers(0, 4, size)
    return np.select([where == 0, where == 1], [bound, -bound], values).astype(np.int8)


@pytest.mark.parametrize("r_max", K_OF_R_MAX)
@pytest.mark.parametrize("p_zero", [0, 200])
def test_perturb_and_restore_is_the_identity(r_max, p_zero):
    theta = ends_and_random(127 - r_max, size=100 * 100)
    z = np.array(twins.perturbation(8, 5, 3, 0, theta.size, r_max, p_zero))
    assert (theta + z).max() == 127 and (theta - z).min() == -127   # both ends are reached
    weights = {"w": QTensor(theta.reshape(100, 100).copy(), -9)}
    settings = SETTINGS._replace(r_max=r_max, p_zero=p_zero, r_limit=r_max)
    perturb(weights, [(3, "w")], +1, 8, 5, settings)
    assert_array_equal(weights["w"].data.reshape(-1), theta + z)
    perturb(weights, [(3, "w")], -2, 8, 5, settings)
    assert_array_equal(weights["w"].data.reshape(-1), theta - z)
    restore_and_update(weights, [(3, "w")], 0, 8, 5, settings)
    assert_array_equal(weights["w"].data.reshape(-1), theta)
    assert weights["w"].data.dtype == np.int8


@pytest.mark.parametrize("r_max", K_OF_R_MAX)
@pytest.mark.parametrize("b_zo", range(0, 8))
def test_update_equals_the_twin(r_max, b_zo):
    bound = 127 - 63
    theta = ends_and_random(bound, size=400)
    z = twins.perturbation(8, 5, 3, 0, theta.size, r_max, 64)
    shift = max(0, K_OF_R_MAX[r_max] - b_zo)
    settings = SETTINGS._replace(r_max=r_max, b_zo=b_zo, r_limit=63)
    clipped = 0
    for g in (-1, 0, 1):
        weights = {"w": QTensor(theta.copy(), -9)}
        perturb(weights, [(3, "w")], +1, 8, 5, settings)
        perturb(weights, [(3, "w")], -2, 8, 5, settings)
        restore_and_update(weights, [(3, "w")], g, 8, 5, settings)
        step = [g * twins.pseudo_stochastic_shift(d, shift) for d in z]
        assert weights["w"].data.tolist() == twins_training.update(theta.tolist(), step, bound)
        clipped += (np.abs(theta - np.array(step)) > bound).sum()
    assert clipped or not any(step)


def test_z_depends_on_seed_step_and_tensor_and_on_nothing_else():
    def z(tensor, name, seed, step, bp_tail, shape):
        weights = {n: QTensor(np.zeros(shape, np.int8), -3) for n in ("conv1", "conv2", "fc1", "fc2", "fc3")}
        names = zo_tensors(LENET5, bp_tail)
        perturb(weights, names, +1, seed, step, SETTINGS)
        assert (tensor, name) in names
        assert all(weights[n].data.any() == ((i, n) in names) for i, n in enumerate(weights))
        return weights[name].data.reshape(-1)

    reference = z(1, "conv2", 4, 9, 0, (30, 20))
    assert_array_equal(reference, twins.perturbation(4, 9, 1, 0, 600, SETTINGS.r_max, SETTINGS.p_zero))
    for bp_tail in (1, 2, 3):
        assert_array_equal(z(1, "conv2", 4, 9, bp_tail, (30, 20)), reference)
    assert_array_equal(z(1, "conv2", 4, 9, 0, (2, 3, 100)), reference)         # whatever the shape
    assert_array_equal(z(1, "conv2", 4, 9, 0, (100,)), reference[:100])
    for other in (z(0, "conv1", 4, 9, 0, (30, 20)), z(1, "conv2", 5, 9, 0, (30, 20)),
                  z(1, "conv2", 4, 10, 0, (30, 20))):
        assert (other != reference).mean() > 0.5


# The sign

ONE_LAYER = Model("one layer", (6,), 2, (Linear("fc", 6, 2),))


@pytest.mark.parametrize("step", range(40))
def test_a_step_goes_down_a_known_slope(step):
    """All six inputs 127, label 0: the loss falls with the sum of row 0 and rises with that of row 1."""
    settings = Settings(r_max=31, p_zero=0, b_zo=5, b_bp=1, r_limit=31)
    weights = {"fc": QTensor(np.zeros((2, 6), np.int8), -8)}
    images, labels = np.full((1, 6), 255, np.uint8), np.uint8([0])
    z = np.array(twins.perturbation(0, step, 0, 0, 12, 31, 0)).reshape(2, 6)
    towards_label = int((z[0] - z[1]).sum())
    assert abs(towards_label) > 0
    loss_before = cross_entropy(logits_of(ONE_LAYER, weights, images), labels)
    loss_plus, loss_minus, g = train_step(ONE_LAYER, 0, weights, images, labels, 0, step, settings)
    assert (loss_plus < loss_minus) == (towards_label > 0)
    assert g == -np.sign(towards_label)
    assert_array_equal(weights["fc"].data, -g * z)                # b_zo = k: the whole of z, from zero
    assert cross_entropy(logits_of(ONE_LAYER, weights, images), labels) < loss_before


def test_g_is_zero_where_the_losses_are_equal_and_zo_layers_then_stay():
    weights = fresh(TINY, 1)
    weights["fc3"].data[...] = 0                                   # all logits 0, whatever is below
    before = data_of(weights)
    images, labels = batch(TINY, 1)
    loss_plus, loss_minus, g = train_step(TINY, 1, weights, images, labels, 0, 0, SETTINGS)
    assert (loss_plus == loss_minus == 5 * (2 << 22)) and g == 0
    after = data_of(weights)
    assert after["fc3"] != before["fc3"]                           # the tail learns all the same
    assert {n: d for n, d in after.items() if n != "fc3"} == {n: d for n, d in before.items() if n != "fc3"}


@pytest.mark.parametrize("bp_tail", [1, 2, 3])
def test_frozen_trains_the_tail_alone(bp_tail):
    weights = fresh(TINY, bp_tail)
    before = data_of(weights)
    losses = []
    for step in range(30):
        images, labels = batch(TINY, 2)
        loss_plus, loss_minus, g = variants.train_step(TINY, bp_tail, weights, images, labels, 0, step, SETTINGS,
                                                       variant=FROZEN)
        assert loss_plus == loss_minus and g == 0
        losses.append(loss_plus)
    zo = [name for _, name in zo_tensors(TINY, bp_tail)]
    after = data_of(weights)
    assert all((after[name] == before[name]) == (name in zo) for name in before)
    assert losses[-1] < losses[0] / 2


def test_frozen_does_not_look_at_the_random_stream():
    images, labels = batch(TINY, 2)
    results = []
    for seed, step in ((0, 0), (5, 9)):
        weights = fresh(TINY, 2)
        variants.train_step(TINY, 2, weights, images, labels, seed, step, SETTINGS, variant=FROZEN)
        results.append(data_of(weights))
    assert results[0] == results[1]


# The whole step

def test_the_seed_of_the_run_and_the_step_reach_z():
    images, labels = batch(TINY, 0)
    results = set()
    for seed, step in ((0, 0), (0, 1), (1, 0)):
        weights = fresh(TINY, 0)
        train_step(TINY, 0, weights, images, labels, seed, step, SETTINGS)
        results.add(str(data_of(weights)))
    assert len(results) == 3


def test_a_step_does_not_depend_on_the_layout_of_images_and_leaves_them_alone():
    images, labels = batch(TINY, 0)
    before = images.copy()
    results = []
    for view in (images, np.asfortranarray(images), np.repeat(images, 2, axis=3)[..., ::2]):
        weights = fresh(TINY, 2)
        train_step(TINY, 2, weights, view, labels, 0, 0, SETTINGS)
        results.append(data_of(weights))
    assert results[0] == results[1] == results[2]
    assert_array_equal(images, before)


@pytest.mark.parametrize("bp_tail", [0, 2])
def test_zo_weights_stay_within_their_bound_and_no_value_is_minus_128(bp_tail):
    weights = fresh(TINY, bp_tail, h=0)
    settings = SETTINGS._replace(b_zo=4, b_bp=7)
    images, labels = batch(TINY, 1)
    for step in range(60):
        train_step(TINY, bp_tail, weights, images, labels, 0, step, settings)
    zo = [name for _, name in zo_tensors(TINY, bp_tail)]
    largest = {name: np.abs(weight.data.astype(int)).max() for name, weight in weights.items()}
    assert max(largest[name] for name in zo) == 127 - settings.r_limit
    assert max(largest.values()) <= 127


def test_recording_changes_nothing():
    images, labels = batch(TINY, 0)
    results = []
    for record in (None, lambda *note: seen.append(note)):
        seen, weights = [], fresh(TINY, 2)
        outcome = train_step(TINY, 2, weights, images, labels, 0, 0, SETTINGS, record=record)
        results.append((outcome, data_of(weights)))
    assert results[0] == results[1]
    assert seen


# The control

CONTROL = Model("control", (1, 8, 8), 4, (
    Conv2d("conv", 1, 4, kernel=3, pad=1), MaxPool2d(2), ReLU(), Flatten(),
    Linear("fc1", 64, 8), ReLU(),
    Linear("fc2", 8, 4),
))


def noisy_patterns(seed, n):
    """Images of four random black-and-white patterns, noise added and a quarter of the pixels inverted."""
    patterns = np.random.default_rng(99).integers(0, 2, (4, 8, 8))
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 4, n)
    pixels = patterns[labels] * 90 + 60 + draw.integers(-40, 41, (n, 8, 8))
    pixels = np.where(draw.integers(0, 4, pixels.shape) == 0, 210 - pixels, pixels)
    return np.clip(pixels, 0, 255).astype(np.uint8)[:, None], labels.astype(np.uint8)


def trained(bp_tail, steps, sign, settings):
    """(accuracy, loss a sample in bits) on unseen samples, with the ZO gradient multiplied by `sign`; 0: of the frozen control."""
    images, labels = noisy_patterns(1, 1024)
    unseen, unseen_labels = noisy_patterns(2, 1024)
    weights = fresh(CONTROL, bp_tail, h=2, r_limit=settings.r_limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZO_NUMPY_THREADS", "1")                      # tiny tiles: threads would only wait
        patch.setattr(elastic_zo, "restore_and_update",
                      lambda weights, names, g, *rest: restore_and_update(weights, names, sign * g, *rest))
        for step in range(steps):
            part = slice(step * 32 % 1024, step * 32 % 1024 + 32)
            given = CONTROL, bp_tail, weights, images[part], labels[part], 0, step, settings
            train_step(*given) if sign else variants.train_step(*given, variant=FROZEN)
    logits = logits_of(CONTROL, weights, unseen)
    accuracy = (logits.data.argmax(axis=1) == unseen_labels).mean()
    return accuracy, cross_entropy(logits, unseen_labels) / 2**22 / 1024


@pytest.mark.parametrize("bp_tail", [0, 1, 2])
def test_control(bp_tail):
    """The right sign beats the frozen run clearly, and the frozen run the inverted sign."""
    settings = Settings(r_max=7, p_zero=128, b_zo=1, b_bp=2, r_limit=7)
    accuracy, loss = trained(bp_tail, 1000, +1, settings)
    inverted_accuracy, inverted_loss = trained(bp_tail, 1000, -1, settings)
    frozen_accuracy, frozen_loss = trained(bp_tail, 1000 if bp_tail else 0, 0, settings)
    assert loss + 0.1 < frozen_loss and frozen_loss + 0.1 < inverted_loss
    assert frozen_accuracy + 0.04 < accuracy
    assert inverted_accuracy + 0.04 < frozen_accuracy or bp_tail == 0     # at K = 0, frozen is chance already
