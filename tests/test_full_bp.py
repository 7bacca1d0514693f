"""Full BP: INT8 against its loop twin to the bit, FP32 against central differences, and whole runs."""
import json
import pathlib

import numpy as np
import pytest
import scipy.signal
from numpy.testing import assert_allclose, assert_array_equal

import twins_full_bp
import twins_training
from experiments.full_bp import fp32, int8, shapes
from planted import planted
from port_runs import same_steps
from small_runs import assert_same_run, metrics, train, train_options, write_digits
from tripwire import FloatFound, Watched, float_sites, package_modules, watching
from zo_numpy import models, tiles
from zo_numpy.__main__ import main
from zo_numpy.errors import UserError
from zo_numpy.fp32 import elastic_zo as fp32_zo, layers as fp32_zo_layers, precision as fp32_zo_precision
from zo_numpy.fp32.loss import cross_entropy
from zo_numpy.fp32.tail import gradient_step as fp32_gradient_step
from zo_numpy.int8 import elastic_zo as int8_zo, layers as int8_zo_layers
from zo_numpy.int8.arith import QTensor
from zo_numpy.int8.layers import forward
from zo_numpy.int8.tail import gradient_step
from zo_numpy.models import Conv2d, Flatten, Linear, MaxPool2d, Model, ReLU

FOLDER = pathlib.Path(int8.__file__).parent

# LeNet-5 in small; other paddings and poolings; no ReLU between convolutions, and one before the pooling.
TINY = Model("tiny", (1, 8, 8), 4, (
    Conv2d("a", 1, 2, kernel=3, pad=1), MaxPool2d(2), ReLU(),
    Conv2d("b", 2, 3, kernel=5, pad=2), MaxPool2d(2), ReLU(), Flatten(),
    Linear("c", 12, 5), ReLU(), Linear("d", 5, 4)))
UNPADDED = Model("unpadded", (2, 8, 8), 3, (
    Conv2d("a", 2, 3, kernel=3, pad=0), MaxPool2d(3), ReLU(),
    Conv2d("b", 3, 2, kernel=2, pad=1), ReLU(), Flatten(), Linear("c", 18, 3)))
BARE = Model("bare", (1, 4, 6), 3, (
    Conv2d("a", 1, 2, kernel=3, pad=1), Conv2d("b", 2, 2, kernel=1, pad=0), ReLU(), MaxPool2d(2), Flatten(),
    Linear("c", 12, 3)))
NETWORKS = {model.name: model for model in (TINY, UNPADDED, BARE)}


def int8_weights(model, seed, bound=127):
    draw = np.random.default_rng(seed)
    return {layer.name: QTensor(draw.integers(-bound, bound + 1, layer.weight_shape).astype(np.int8), -8)
            for layer in models.weight_layers(model.layers)}


def batch(model, n, seed, values=256):
    """(images, labels); few `values` make many equal maxima."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, values, (n, *model.input_shape)) * (255 // (values - 1))
    return images.astype(np.uint8), draw.integers(0, model.classes, n).astype(np.uint8)


def settings(b_bp, **changes):
    return int8_zo.Settings(r_max=1, p_zero=0, b_zo=1, b_bp=b_bp, r_limit=1)._replace(**changes)


def as_pairs(weights):
    return {name: (weight.data.tolist(), weight.exponent) for name, weight in weights.items()}


def assert_step_equals_twin(module, model, weights, images, labels, b_bp, loss="integer"):
    expected, expected_loss = twins_full_bp.train_step(model, as_pairs(weights), images.tolist(),
                                                       labels.tolist(), b_bp, loss)
    outcome = module.train_step(model, "all", weights, images, labels, 0, 0, settings(b_bp, loss=loss))
    assert outcome == (expected_loss, expected_loss, 0)
    assert as_pairs(weights) == expected
    assert all(weight.data.dtype == np.int8 for weight in weights.values())


# INT8

def steps_equal_the_twin(module, model, n):
    """Several steps of several starts, with equal maxima in the poolings and without."""
    for seed, values in enumerate((256, 2, 256)):
        weights = int8_weights(model, seed)
        images, labels = batch(model, n, seed, values)
        for step in range(2):
            assert_step_equals_twin(module, model, weights, images, labels, b_bp=(6, 3, 1)[seed])


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("model", NETWORKS.values(), ids=NETWORKS.keys())
def test_int8_step_equals_the_twin(model, n):
    steps_equal_the_twin(int8, model, n)


def test_int8_step_with_the_coarse_loss_differs_in_the_loss_alone():
    weights, (images, labels) = int8_weights(TINY, 4), batch(TINY, 3, 4)
    fine = {name: QTensor(weight.data.copy(), weight.exponent) for name, weight in weights.items()}
    assert_step_equals_twin(int8, TINY, weights, images, labels, 4, "coarse")
    int8.train_step(TINY, "all", fine, images, labels, 0, 0, settings(4))
    assert as_pairs(fine) == as_pairs(weights)


@pytest.mark.parametrize("model", NETWORKS.values(), ids=NETWORKS.keys())
@pytest.mark.parametrize("sign", [1, -1])
def test_int8_extremes(model, sign):
    """Every pixel and weight as large as it may be, of one sign or alternating; and weights of zero."""
    images, labels = np.full((3, *model.input_shape), 255, np.uint8), np.uint8([0, 1, 2])
    for pattern in (lambda i: np.full_like(i, sign), lambda i: np.where(i % 2, sign, -sign), lambda i: 0 * i):
        weights = {layer.name: QTensor((127 * pattern(np.arange(models.weight_count(layer)))).astype(np.int8)
                                       .reshape(layer.weight_shape), -8)
                   for layer in models.weight_layers(model.layers)}
        for _ in range(2):
            assert_step_equals_twin(int8, model, weights, images, labels, 7)


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("tile_bytes", [1, 2000, 4 << 20])
def test_int8_bits_do_not_depend_on_tiles_and_threads(monkeypatch, threads, tile_bytes):
    monkeypatch.setenv("ZO_NUMPY_THREADS", threads)
    monkeypatch.setattr(tiles, "TILE_BYTES", tile_bytes)
    weights, (images, labels) = int8_weights(TINY, 9), batch(TINY, 7, 9)
    for b_bp in (5, 2):
        assert_step_equals_twin(int8, TINY, weights, images, labels, b_bp)


def gradients(model, weights, images, labels):
    logits, kept = int8.forward_kept(model, weights, QTensor((images >> 1).astype(np.int8), -7))
    found = int8.gradients_of(model, weights, logits, kept, labels)
    return {name: gradient.data for name, gradient in found.items()}


def test_int64_sums_equal_int32_sums(monkeypatch):
    weights, (images, labels) = int8_weights(TINY, 3), batch(TINY, 6, 3)
    narrow = gradients(TINY, weights, images, labels)
    assert {gradient.dtype for gradient in narrow.values()} == {np.dtype(np.int32)}
    monkeypatch.setattr(int8, "MAX_TERMS", 6 * 16)                     # the terms of b; a has 6 * 64
    wide = gradients(TINY, weights, images, labels)
    assert [wide[name].dtype for name in "abcd"] == [np.int64, np.int32, np.int32, np.int32]
    for name in "abcd":
        assert_array_equal(wide[name], narrow[name])
    assert_step_equals_twin(int8, TINY, weights, images, labels, 4)


def test_a_sum_beyond_int32_is_exact():
    conv, n, side = Conv2d("a", 1, 1, kernel=1, pad=0), 200, 28
    x = np.full((n, 1, side, side), 127, np.int8)
    weight = np.int8([[[[1]]]])
    total, passed = int8.conv_block_backward([conv], weight, -x, x, None, pass_on=False)
    assert (total.dtype, total.item(), passed) == (np.int64, -n * side**2 * 127**2, None)
    assert -total.item() > 2**31
    half, _ = int8.conv_block_backward([conv], weight, -x[:100], x[:100], None, pass_on=False)
    assert (half.dtype, half.item()) == (np.int32, -100 * side**2 * 127**2)


def test_steps_of_int64_gradients_equal_the_twin():
    draw = np.random.default_rng(0)
    for width in (20, 31, 32, 36, 40):
        gradient = draw.integers(-2**width, 2**width, 500)
        gradient[:2] = 2**width, 2**(width // 2)
        for b_bp in range(1, 8):
            step = gradient_step(gradient, b_bp)
            assert step.tolist() == twins_training.gradient_step(gradient.tolist(), b_bp)
            assert 2**(b_bp - 1) <= np.abs(step).max() <= 2**b_bp


def test_a_sum_no_int32_could_hold_is_made_of_several():
    for side, kind in ((364, np.int32), (365, np.int64)):   # 132,496 and 133,225 positions of one image
        x = np.full((1, 1, side, side), 127, np.int8)
        gradient = int8.conv2d_gradient(x, -x, 1, 0)
        assert gradient.dtype == kind and gradient.tolist() == [[[[-127 * 127 * side * side]]]]


def test_one_image_larger_than_a_sum_trains_as_the_port_does(built, tmp_path):
    draw = np.random.default_rng(0)
    data = {f"{kind}_{part}": value for part, n in (("train", 4), ("test", 2)) for kind, value in (
        ("x", draw.integers(0, 256, (n, 366, 366), np.uint8)), ("y", np.arange(n, dtype=np.uint8) % 2))}
    np.savez(tmp_path / "large.npz", **data)
    layers = [{"type": "Conv2d", "name": "c", "out_channels": 1, "kernel": 3, "pad": 1},
              {"type": "MaxPool2d", "size": 16}, {"type": "ReLU"}, {"type": "Flatten"}, {"type": "Linear", "name": "l"}]
    (tmp_path / "mine.json").write_text(json.dumps(layers))
    run = tmp_path / "run"
    assert main(["train", "--model", str(tmp_path / "mine.json"), "--data", str(tmp_path / "large.npz"), "--bp-tail",
                 "all", "--epochs", "1", "--batch-size", "2", "--out", str(run)]) == 0
    assert same_steps(built, run, tmp_path / "port")


def test_errors_whose_sum_no_int32_could_hold_are_refused_before_anything_runs(tmp_path, capsys):
    layers = [{"type": "Conv2d", "name": "a", "out_channels": 1, "kernel": 1, "pad": 0}, {"type": "ReLU"},
              {"type": "Conv2d", "name": "b", "out_channels": 8192, "kernel": 5, "pad": 0},
              {"type": "MaxPool2d", "size": 8}, {"type": "ReLU"}, {"type": "Flatten"}, {"type": "Linear", "name": "l"}]
    (tmp_path / "mine.json").write_text(json.dumps(layers))
    words = ["train", "--model", str(tmp_path / "mine.json"), "--data", "mnist-subset", "--bp-tail", "all", "--out",
             str(tmp_path / "run")]
    assert main(words) == 2 and not (tmp_path / "run").exists()
    assert "layer 3 (Conv2d b): 8,192 x 5 x 5 products" in capsys.readouterr().err


@pytest.mark.parametrize("record", [None, lambda *noted: None])
def test_forward_kept_is_the_forward_pass(record):
    weights, (images, _) = int8_weights(TINY, 5), batch(TINY, 6, 5)
    x = QTensor((images >> 1).astype(np.int8), -7)
    logits, kept = int8.forward_kept(TINY, weights, x, record)
    expected = forward(TINY.layers, weights, x)
    assert logits.exponent == expected.exponent
    assert_array_equal(logits.data, expected.data)
    # What it keeps: the int8 input of each block, a byte for each maximum, and nothing more.
    assert [inside.data.dtype for inside, _ in kept] == [np.int8] * 4
    assert [inside.data.shape for inside, _ in kept] == [(6, 1, 8, 8), (6, 2, 4, 4), (6, 12), (6, 5)]
    places = [where for _, where in kept]
    assert [where.dtype for where in places[:2]] == [np.uint8] * 2
    assert [where.shape for where in places[:2]] == [(6, 2, 4, 4), (6, 3, 2, 2)]
    assert places[2:] == [None, None]


def test_recording_changes_nothing_and_shows_every_op():
    images, labels = batch(TINY, 4, 8)
    plain, recorded, noted = int8_weights(TINY, 8), int8_weights(TINY, 8), []
    int8.train_step(TINY, "all", plain, images, labels, 0, 0, settings(4))
    int8.train_step(TINY, "all", recorded, images, labels, 0, 0, settings(4),
                    lambda phase, op, name, value: noted.append((phase, op, name)))
    assert as_pairs(plain) == as_pairs(recorded)
    assert {phase for phase, _, _ in noted} == {"minus"}
    assert [(op, name) for _, op, name in noted if "gradient" in op or "backward" in op] == [
        ("linear_gradient", "d"), ("linear_backward", "d"), ("relu_backward", "d"),
        ("linear_gradient", "c"), ("linear_backward", "c"), ("relu_backward", "c"),
        ("conv2d_gradient", "b"), ("conv2d_backward", "b"), ("relu_backward", "b"),
        ("conv2d_gradient", "a"), ("gradient_step", None)]


def test_int8_gradients_point_where_those_of_float64_do():
    weights = int8_weights(models.NARROW_LENET, 1, bound=80)
    images, labels = batch(models.NARROW_LENET, 32, 1)
    real = {}
    for name, weight in weights.items():
        real[name + ".weight"] = weight.data * 2.0**weight.exponent
        real[name + ".bias"] = np.zeros(len(weight.data))
    logits, kept = fp32.forward_kept(models.NARROW_LENET, real, (images >> 1) * 2.0**-7)
    truth = fp32.gradients_of(models.NARROW_LENET, real, logits, kept, labels)
    for name, gradient in gradients(models.NARROW_LENET, weights, images, labels).items():
        expected = truth[name + ".weight"]
        assert (gradient * expected).sum() > 0.97 * np.linalg.norm(gradient) * np.linalg.norm(expected), name


# Layers that move and compare, and convolutions, both precisions

def test_max_pool_by_hand():
    window = np.int32([[[[3, 7, -5, -5], [7, 1, -5, -4], [0, 0, -1, -2], [0, 0, -3, -1]]]])
    where = shapes.max_pool2d_argmax(window, 2)
    assert where.dtype == np.uint8
    assert where.tolist() == [[[[1, 3], [0, 0]]]]                     # of equals, the first row, then column
    passed = shapes.max_pool2d_backward(np.int8([[[[10, -20], [30, 40]]]]), where, 2, (4, 4))
    assert passed.dtype == np.int8
    assert passed.tolist() == [[[[0, 10, 0, 0], [0, 0, 0, -20], [30, 0, 40, 0], [0, 0, 0, 0]]]]


def test_what_has_no_backward_is_refused():
    with pytest.raises(ValueError, match="max-pool of 17"):
        shapes.max_pool2d_argmax(np.zeros((1, 1, 17, 17)), 17)
    with pytest.raises(ValueError, match="a: no backward for two max-pools"):
        shapes.pooling([Conv2d("a", 1, 1, kernel=3, pad=1), MaxPool2d(2), MaxPool2d(2)])
    with pytest.raises(ValueError, match="wide: no backward for padding 3 with a kernel of 3"):
        shapes.transposed(Conv2d("wide", 1, 1, kernel=3, pad=3))


@pytest.mark.parametrize("k, pad", [(5, 2), (3, 0), (4, 1), (1, 0)])
def test_convolution_backwards_are_scipys_correlations(k, pad):
    draw = np.random.default_rng(k)
    x, weight = draw.integers(-127, 128, (3, 2, 7, 9)), draw.integers(-127, 128, (4, 2, k, k))
    error = draw.integers(-127, 128, (3, 4, 7 + 2 * pad - k + 1, 9 + 2 * pad - k + 1))
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    gradient = np.array([[sum(scipy.signal.correlate2d(padded[n, c], error[n, o], "valid") for n in range(3))
                          for c in range(2)] for o in range(4)])
    passed = np.array([[sum(scipy.signal.convolve2d(error[n, o], weight[o, c]) for o in range(4))
                        for c in range(2)] for n in range(3)])[:, :, pad:pad + 7, pad:pad + 9]
    below = shapes.transposed(Conv2d("a", 2, 4, k, pad))
    assert below == Conv2d("a", 4, 2, k, k - 1 - pad)
    small = [a.astype(np.int8) for a in (error, x, weight)]
    assert_array_equal(int8.conv2d_gradient(small[0], small[1], k, pad), gradient)
    assert_array_equal(int8.conv2d_backward(small[0], small[2], below.pad), passed)
    real = [a.astype(np.float64) for a in (error, x, weight)]
    weight_gradient, bias_gradient = fp32.conv2d_gradient(real[0], real[1], k, pad)
    assert_array_equal(weight_gradient, gradient)                     # whole numbers: float64 is exact
    assert_array_equal(bias_gradient, error.sum(axis=(0, 2, 3)))
    assert_array_equal(fp32.conv2d_backward(real[0], real[2], below.pad), passed)


# FP32

def fp32_weights(model, seed, dtype):
    draw = np.random.default_rng(seed)
    weights = {}
    for layer in models.weight_layers(model.layers):
        scale = models.fan_in(layer)**-0.5
        weights[layer.name + ".weight"] = draw.normal(0, scale, layer.weight_shape).astype(dtype)
        weights[layer.name + ".bias"] = draw.normal(0, 0.1, layer.weight_shape[0]).astype(dtype)
    return weights


def assert_gradients_are_central_differences(module, model):
    """The same code in float64, every parameter: the slope of the loss across 2e-6."""
    weights, draw = fp32_weights(model, 2, np.float64), np.random.default_rng(3)
    x, labels = draw.normal(0.3, 1, (6, *model.input_shape)), draw.integers(0, model.classes, 6)

    def loss():
        return cross_entropy(module.forward_kept(model, weights, x)[0], labels)

    logits, kept = module.forward_kept(model, weights, x)
    found = module.gradients_of(model, weights, logits, kept, labels)
    assert found.keys() == weights.keys()
    h = 1e-6
    for name, parameter in weights.items():
        slopes = np.empty_like(parameter)
        for place in np.ndindex(parameter.shape):
            here = parameter[place]
            ends = []
            for parameter[place] in (here + h, here - h):
                ends.append(loss())
            parameter[place] = here
            slopes[place] = (ends[0] - ends[1]) / (2 * h)
        assert found[name].dtype == np.float64 and found[name].shape == parameter.shape
        assert np.isfinite(slopes).all() and np.abs(slopes).max() > 1e-3
        assert_allclose(found[name], slopes, rtol=0, atol=1e-5 * np.abs(slopes).max(), err_msg=name)


@pytest.mark.parametrize("model", NETWORKS.values(), ids=NETWORKS.keys())
def test_fp32_gradients_are_central_differences(model):
    assert_gradients_are_central_differences(fp32, model)


def test_fp32_steps_in_float32():
    images, labels = batch(TINY, 20, 0)
    weights = fp32_weights(TINY, 0, np.float32)
    before = {name: value.copy() for name, value in weights.items()}
    x = fp32_zo_layers.from_pixels(images)
    logits, kept = fp32.forward_kept(TINY, weights, x)
    gradients = fp32.gradients_of(TINY, weights, logits, kept, labels)
    chosen = fp32_zo.Settings(eps=1e-3, eta=1e-4, clip=1.0, eta_tail=0.05)
    outcome = fp32.train_step(TINY, "all", weights, images, labels, 0, 0, chosen)
    loss = cross_entropy(logits, labels)
    assert outcome == (loss, loss, 0)
    for name, value in weights.items():
        assert value.dtype == np.float32
        assert_array_equal(value, before[name] - fp32_gradient_step(gradients[name], 0.05))
    assert cross_entropy(fp32_zo_precision.logits_of(TINY, weights, images), labels) < loss


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("tile_bytes", [1, 2000])
def test_fp32_tiles_and_threads_change_rounding_alone(monkeypatch, threads, tile_bytes):
    weights, draw = fp32_weights(TINY, 2, np.float64), np.random.default_rng(3)
    x, labels = draw.normal(0.3, 1, (7, *TINY.input_shape)), draw.integers(0, 4, 7)
    whole = fp32.gradients_of(TINY, weights, *fp32.forward_kept(TINY, weights, x), labels)
    monkeypatch.setenv("ZO_NUMPY_THREADS", threads)
    monkeypatch.setattr(tiles, "TILE_BYTES", tile_bytes)
    logits, kept = fp32.forward_kept(TINY, weights, x)
    for name, gradient in fp32.gradients_of(TINY, weights, logits, kept, labels).items():
        assert_allclose(gradient, whole[name], rtol=1e-9, atol=1e-12)


def test_fp32_loss_that_is_not_finite_stops_the_run():
    weights, (images, labels) = fp32_weights(TINY, 0, np.float32), batch(TINY, 2, 0)
    weights["d.bias"][0] = np.nan
    before = {name: value.copy() for name, value in weights.items()}
    chosen = fp32_zo.Settings(eps=1e-3, eta=1e-4, clip=1.0, eta_tail=0.05)
    with pytest.raises(UserError, match="the loss of step 17 is nan: the run has diverged; lower --eta-tail"):
        fp32.train_step(TINY, "all", weights, images, labels, 0, 17, chosen)
    for name, value in weights.items():
        assert_array_equal(value, before[name])


# Bugs put into a copy of experiments/full_bp

def copied(tmp_path, *change):
    """A copy of experiments/full_bp, see planted.py, under a name that the tripwire takes for a part of zo_numpy."""
    return planted(tmp_path, FOLDER, "zo_numpy_full_bp", *change)


BOTH = ("int8", "fp32")
BUGS = [   # file, text, what replaces it, the precisions whose check must notice
    ("shapes.py", "candidate > best", "candidate >= best", ("int8",)),   # floats here have no equal maxima
    ("shapes.py", "where == place, error, 0", "where >= 0, error, 0", BOTH),   # to the whole window
    ("shapes.py", "weight[:, :, ::-1, ::-1]", "weight[:, :, ::-1, :]", BOTH),  # half a turn
    ("shapes.py", "pad = conv.kernel - 1 - conv.pad", "pad = conv.pad", BOTH),
    ("shapes.py", "error.reshape(-1, *shape)",
     "error.reshape(-1, *shape[::-1]).transpose(0, 3, 2, 1)", BOTH),                 # columns first
    ("int8.py", 'noted("relu_backward", name, relu_backward(passed, x.data))', "passed", ("int8",)),
    ("int8.py", "requantise(passed, error", "requantise(passed >> 1, error", ("int8",)),
    ("int8.py", "total += gradient", "total = gradient", ("int8",)),           # the last tile alone
    ("int8.py", "    update_tail(weights, ", "    steps.pop('a')\n    update_tail(weights, ", ("int8",)),
    ("fp32.py", 'noted("relu_backward", name, relu_backward(error, x))', "error", ("fp32",)),
    ("fp32.py", "errors.sum(axis=1)", "errors.mean(axis=1)", ("fp32",)),
    ("fp32.py", "return sum(weight_gradients)", "return weight_gradients[0]", ("fp32",)),
]


def noticed(check, *arguments):
    try:
        for model in (TINY, UNPADDED):
            check(*arguments[:1], model, *arguments[1:])
    except (AssertionError, ValueError):
        return True
    return False


@pytest.mark.parametrize("file, old, new, precisions", BUGS, ids=[new[:40] for _, _, new, _ in BUGS])
def test_a_planted_bug_is_noticed(tmp_path, monkeypatch, file, old, new, precisions):
    monkeypatch.setattr(tiles, "TILE_BYTES", 5000)
    with copied(tmp_path, file, old, new) as (module, _):
        assert noticed(steps_equal_the_twin, module("int8"), 5) == ("int8" in precisions)
        assert noticed(assert_gradients_are_central_differences, module("fp32")) == ("fp32" in precisions)


# Integers only

def watched_steps(module, kind):
    weights = {name: QTensor(weight.data.view(kind), weight.exponent)
               for name, weight in int8_weights(models.NARROW_LENET, 0, 60).items()}
    log = []
    for step in range(2):
        images, labels = (array.view(kind) for array in batch(models.NARROW_LENET, 6, step))
        log.append(module.train_step(models.NARROW_LENET, "all", weights, images, labels, 0, step,
                                     settings(4)))
    return log, [weight.data.tobytes() for weight in weights.values()]


def modules_of(module):
    return [*package_modules("zo_numpy"), module("int8"), module("shapes")]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_int8_training_meets_no_float(tmp_path, monkeypatch, threads):
    monkeypatch.setenv("ZO_NUMPY_THREADS", threads)
    with copied(tmp_path) as (module, _), watching(modules_of(module)) as seen:
        got = watched_steps(module("int8"), Watched)
    assert got == watched_steps(int8, np.ndarray)
    assert {"zo_numpy_full_bp.int8.conv_block_backward", "zo_numpy_full_bp.shapes.max_pool2d_argmax",
            "zo_numpy_full_bp.shapes.max_pool2d_backward", "zo_numpy.int8.tail.softmax_error",
            "zo_numpy.int8.tail.update_tail"} <= seen


@pytest.mark.parametrize("file", ["int8.py", "shapes.py"])
def test_int8_source_has_no_float(file):
    assert float_sites((FOLDER / file).read_text(), file) == []


@pytest.mark.parametrize("file, old, new", [
    ("int8.py", "total += gradient", "total += np.mean(gradient).astype(np.int32)"),
    ("int8.py", "total += gradient", "total += (gradient / 1).astype(np.int32)"),
    ("shapes.py", "where == place, error, 0)", "where == place, error, 0.0).astype(np.int8)"),
])
def test_a_planted_float_is_caught_and_its_line_named(tmp_path, file, old, new):
    with copied(tmp_path, file, old, new) as (module, path):
        with pytest.raises(FloatFound) as found, watching(modules_of(module)):
            watched_steps(module("int8"), Watched)
        line = 1 + next(i for i, text in enumerate(path.read_text().splitlines()) if new in text)
    assert str(found.value).startswith(f"{path}:{line}: ")


# Whole runs

@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_run_trains_and_resumes_to_the_same_bytes(tmp_path, monkeypatch, precision):
    monkeypatch.setenv("ZO_NUMPY_THREADS", "1")
    digits = write_digits(tmp_path / "digits")
    options = ["--precision", precision, "--bp-tail", "all"]
    schedule = ["--b-bp", "4,3"] if precision == "int8" else ["--eta-tail", "0.1,0.05"]
    whole = train(digits, tmp_path / "whole", *options, *schedule, epochs=4)
    accuracies = [line["test_accuracy"] for line in metrics(whole)]
    assert len(accuracies) == 4 and accuracies[-1] > 80
    assert json.loads((whole / "config.json").read_text())["bp_tail"] == "all"
    steps = (whole / "steps.txt").read_text().splitlines()
    assert len(steps) == 4 * 13
    for number, line in enumerate(steps):
        fields = line.split()
        assert fields[0] == str(number) and fields[1] == fields[2] and fields[3] == "0"

    class Stopped(Exception):
        pass

    cut, made = tmp_path / "cut", [0]
    train_step = {"int8": int8, "fp32": fp32}[precision].train_step

    def failing(*arguments):
        made[0] += 1
        if made[0] == 30:
            raise Stopped
        return train_step(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr({"int8": int8, "fp32": fp32}[precision], "train_step", failing)
        main(train_options(digits, cut, *options, *schedule, epochs=4))
    assert len(metrics(cut)) == 2
    assert main(["train", "--resume", "--data-dir", str(digits), "--out", str(cut)]) == 0
    assert_same_run(cut, whole)


# What the README says it costs

def test_readme_counts_the_bytes_and_products_of_lenet5():
    text = (FOLDER / "README.md").read_text()
    images = np.zeros((64, 1, 28, 28), np.uint8)
    _, kept = int8.forward_kept(models.LENET5, int8_weights(models.LENET5, 0), int8_zo_layers.from_pixels(images))
    places = sum(where.nbytes for _, where in kept if where is not None)
    inputs = sum(inside.data.nbytes for inside, _ in kept)
    assert f"{inputs:,} of int8 inputs, one a block; {places:,} of places |" in text
    weights = fp32_weights(models.LENET5, 0, np.float32)
    _, kept = fp32.forward_kept(models.LENET5, weights, fp32_zo_layers.from_pixels(images))
    assert places == sum(where.nbytes for _, where in kept if where is not None)
    assert f"{sum(inside.nbytes for inside, _ in kept):,} of inputs; {places:,} of places |" in text
    conv1, conv2, linears = 28**2 * 6 * 25, 14**2 * 16 * 150, 784 * 120 + 120 * 84 + 84 * 10
    assert f"{4 * (6 * 25 + 16 * 150 + linears):,} of int32" in text
    forward_pass = conv1 + conv2 + linears
    assert f"{2 * forward_pass:,}: two forward passes" in text
    assert f"{2 * forward_pass + conv2 + linears:,}: forward, gradients, errors down to conv2" in text
