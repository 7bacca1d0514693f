"""PointNet's layers on points: against loop twins, whatever the tiles, the threads and the order of the points."""
import importlib
import pathlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import twins
import zo_numpy
from planted import planted
from tripwire import FloatFound, Watched, package_modules, watching
from zo_numpy import models
from zo_numpy.fp32 import (draws as fp32_draws, elastic_zo as fp32, layers as fp32_layers, precision as fp32_precision,
                           tiled as fp32_tiled)
from zo_numpy.fp32.variants import Variant, train_step as fp32_train_step
from zo_numpy.int8 import (draws as int8_draws, elastic_zo as int8, layers as int8_layers, precision as int8_precision,
                           tiled as int8_tiled)
from zo_numpy.int8.arith import MAX_TERMS, QTensor
from zo_numpy.models import BatchNorm, MaxOverPoints, PointLinear, ReLU

TINY = models.pointnet("tiny", 7, 5, (4, 6, 9), (8,))
INNER = (PointLinear("mlp", 5, 8), BatchNorm("norm", 8), ReLU())
POOLED = (PointLinear("mlp", 5, 8), BatchNorm("norm", 8), MaxOverPoints(), ReLU())
BLOCKS = pytest.mark.parametrize("block", [INNER, POOLED], ids=["inner", "pooled"])


def int8_weights(model, seed=0):
    names = (layer.name for layer in models.weight_layers(model.layers))
    return int8_draws.init_weights(model, seed, dict.fromkeys(names, 0))


def int8_clouds(n, model, seed=0):
    return np.random.default_rng(seed).integers(-127, 128, (n, *model.input_shape)).astype(np.int8)


def fp32_clouds(n, model, seed=0):
    return np.random.default_rng(seed).uniform(-0.57, 0.57, (n, *model.input_shape)).astype(np.float32)


def block_inputs(n=6, p=7, seed=0):
    """(weights, x) of the blocks above in FP32, with signs of gamma both ways and one zero."""
    draw = np.random.default_rng(seed)
    x, weight = (draw.integers(-127, 128, shape).astype(np.float32) / 127 for shape in ((n, p, 5), (8, 5)))
    gamma = draw.normal(size=8).astype(np.float32)
    gamma[:3] = 0, -1, 1
    return {"mlp.weight": weight, "norm.gamma": gamma, "norm.beta": draw.normal(size=8).astype(np.float32),
            "norm.mean": draw.normal(size=8).astype(np.float32),
            "norm.var": draw.uniform(0.5, 2, 8).astype(np.float32)}, x


# INT8

def test_the_int8_forward_pass_equals_the_twin():
    for seed, n in enumerate((1, 2, 5)):
        weights, x = int8_weights(TINY, seed), int8_clouds(n, TINY, seed)
        got = int8_precision.logits_of(TINY, weights, x)
        pairs = {name: (weight.data.tolist(), weight.exponent) for name, weight in weights.items()}
        (data, exponent), _ = twins.forward(models.integer_layers(TINY.layers), pairs, (x.tolist(), -7))
        assert (got.data.tolist(), got.exponent) == (data, exponent)
        assert np.any(got.data) and got.data.dtype == np.int8


def test_int8_rounds_up_to_127_at_most():
    weights, x = {"mlp": QTensor(np.int8([[127], [1]]), 0)}, QTensor(np.int8([[[127], [2]]]), 0)
    for block in ((PointLinear("mlp", 1, 2), ReLU()), (PointLinear("mlp", 1, 2), MaxOverPoints(), ReLU())):
        out = int8_layers.forward_block(block, weights, x)                  # 127 * 127 is 63 * 2^8 + 1
        assert out.exponent == 7 and out.data.max() == 126


def test_sums_that_int32_cannot_hold_are_refused():
    wide = QTensor(np.zeros((1, MAX_TERMS + 1), np.int8), 0)
    x = QTensor(np.zeros((1, 1, MAX_TERMS + 1), np.int8), 0)
    for last in ((ReLU(),), (MaxOverPoints(), ReLU())):
        for way in (int8_layers, int8_tiled):
            with pytest.raises(ValueError, match="can exceed int32"):
                way.forward_block((PointLinear("mlp", MAX_TERMS + 1, 1), *last), {"mlp": wide}, x)


NORM = BatchNorm("norm", 2)


@pytest.mark.parametrize("last", [(), (MaxOverPoints(),), (NORM,), (NORM, MaxOverPoints()), (ReLU(), MaxOverPoints())])
def test_training_refuses_blocks_that_it_would_compute_otherwise(last):
    """A network given in Python: the forward pass in tiles has a ReLU in it, and in FP32 a batch norm."""
    block = PointLinear("mlp", 3, 2), *last
    clouds = np.zeros((1, 4, 3), np.int8)
    with pytest.raises(ValueError, match="a block on points of PointLinear"):
        int8_tiled.forward(block, {"mlp": QTensor(np.ones((2, 3), np.int8), 0)}, clouds)
    with pytest.raises(ValueError, match="a block on points of PointLinear"):
        fp32_tiled.forward(block, {"mlp.weight": np.ones((2, 3), np.float32)}, clouds.astype(np.float32))


def shuffled_points(x, seed=3):
    """The same clouds, the points of each in another order."""
    draw = np.random.default_rng(seed)
    return np.stack([cloud[draw.permutation(len(cloud))] for cloud in x])


def test_the_order_of_the_points_changes_no_int8_bit():
    weights, x = int8_weights(TINY), int8_clouds(4, TINY)
    other = shuffled_points(x)
    assert not np.array_equal(x, other)
    one, two = int8_precision.logits_of(TINY, weights, x), int8_precision.logits_of(TINY, weights, other)
    assert_array_equal(one.data, two.data)
    settings = int8.Settings(r_max=7, p_zero=64, b_zo=1, b_bp=3, r_limit=7)
    labels = np.uint8([0, 1, 2, 3])
    steps = [int8.train_step(TINY, 1, int8_weights(TINY), clouds, labels, 0, 0, settings) for clouds in (x, other)]
    assert steps[0] == steps[1]


def test_a_point_given_twice_changes_nothing():
    weights, x = int8_weights(TINY), int8_clouds(4, TINY)
    doubled = np.concatenate([x, x[:, :3]], axis=1)
    once, twice = (int8_precision.logits_of(TINY, weights, clouds) for clouds in (x, doubled))
    assert_array_equal(once.data, twice.data)


# FP32

def looped_batch_norm(x, gamma, beta, mean, var):
    out = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        c = place[-1]
        out[place] = gamma[c] * (x[place] - mean[c]) / (var[c] + 1e-5) ** 0.5 + beta[c]
    return out


def looped_block(block, weights, x, training):
    """A block in float64, point by point."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    h = np.array([[[sum(a * b for a, b in zip(point, row)) for row in w["mlp.weight"]] for point in cloud]
                  for cloud in x.astype(np.float64)])
    mean, var = w["norm.mean"], w["norm.var"]
    if training:
        flat = h.reshape(-1, h.shape[2])
        mean = flat.sum(axis=0) / len(flat)
        var = ((flat - mean) ** 2).sum(axis=0) / len(flat)
    out = looped_batch_norm(h, w["norm.gamma"], w["norm.beta"], mean, var)
    if any(isinstance(layer, MaxOverPoints) for layer in block):
        out = np.array([[max(column) for column in cloud.T] for cloud in out])
    return np.maximum(out, 0), mean, var


def close(got, expected, tolerance=2e-5):
    error = np.abs(got.astype(np.float64) - expected).max()
    assert got.dtype == np.float32 and np.isfinite(got).all()
    if not error <= tolerance:
        raise AssertionError(f"off by {error}")


@BLOCKS
@pytest.mark.parametrize("training", [True, False])
def test_fp32_tiled_and_plain_equal_the_loops(block, training):
    for n, p in ((1, 2), (6, 7), (3, 50)):
        weights, x = block_inputs(n, p)
        expected, mean, var = looped_block(block, weights, x, training)
        for way in (fp32_layers, fp32_tiled):
            statistics = {} if training else None
            close(way.forward_block(block, weights, x, statistics), expected)
            if training:
                close(statistics["norm"].mean, mean)
                close(statistics["norm"].var, var)
        assert np.any(expected > 0) and np.any(expected == 0)


def test_the_variance_of_numbers_far_from_zero():
    """Sums of squares about the mean: numbers of 1000 +- 1 have a variance of 1, not what cancellation leaves."""
    weights, x = block_inputs(4, 64)
    weights["mlp.weight"][...] = np.eye(8, 5)
    x = (1000 + np.where(np.arange(64) % 2, 1, -1)[None, :, None] + np.zeros((4, 1, 5))).astype(np.float32)
    for block in (INNER, POOLED):
        for way in (fp32_layers, fp32_tiled):
            statistics = {}
            way.forward_block(block, weights, x, statistics)
            close(statistics["norm"].var[:5], 1)


def test_the_order_of_the_points_changes_fp32_by_rounding_only():
    weights, x = fp32_draws.init_weights(TINY, 0), fp32_clouds(4, TINY)
    one, other = (fp32_precision.logits_of(TINY, weights, clouds) for clouds in (x, shuffled_points(x)))
    close(other, one.astype(np.float64), 1e-4)


def test_running_statistics_move_once_a_step_towards_those_of_the_last_pass():
    x, labels = fp32_clouds(6, TINY), np.uint8([0, 1, 2, 3, 4, 0])
    settings = fp32.Settings(eps=0.01, eta=1e-3, clip=10, eta_tail=0.1)
    for bp_tail, variant in ((0, Variant()), (1, Variant(queries=2)), (1, Variant(frozen=True))):
        weights, passes = fp32_draws.init_weights(TINY, 0), []

        def watch(phase, op, name, value):
            if op == "weights":
                passes.append({key: array.copy() for key, array in value.items()})

        fp32_train_step(TINY, bp_tail, weights, x, labels, 0, 0, settings, watch, variant)
        statistics = {}
        fp32_layers.forward(TINY.layers, passes[-1], x, statistics=statistics)
        for norm, batch in statistics.items():
            close(weights[norm + ".mean"], 0.1 * batch.mean.astype(np.float64))
            close(weights[norm + ".var"], 0.9 + 0.1 * batch.var.astype(np.float64))
            assert all(not one[norm + ".mean"].any() for one in passes)      # not between the passes


def test_evaluation_uses_the_running_statistics_and_one_cloud_at_a_time_gives_the_same():
    weights, x = fp32_draws.init_weights(TINY, 0), fp32_clouds(5, TINY)
    together = fp32_precision.logits_of(TINY, weights, x)
    alone = np.concatenate([fp32_precision.logits_of(TINY, weights, cloud[None]) for cloud in x])
    close(alone, together.astype(np.float64), 1e-5)
    weights["norm2.var"] *= 4
    assert np.abs(fp32_precision.logits_of(TINY, weights, x) - together).max() > 1e-3


# Parameters and perturbation

def test_pointnet_has_the_parameters_it_should():
    shared = 3 * 64 + 64 * 64 + 64 * 64 + 64 * 128 + 128 * 1024
    connected = (1024 + 1) * 512 + (512 + 1) * 256 + (256 + 1) * 40
    norms = 2 * (64 + 64 + 64 + 128 + 1024)
    assert sum(map(fp32_precision.parameter_count, models.POINTNET.layers)) == shared + norms + connected == 816_744
    assert sum(map(int8_precision.parameter_count, models.POINTNET.layers)) == shared + connected - 512 - 256 - 40
    weights = fp32_draws.init_weights(models.POINTNET, 0)
    learned = [name for _, name in fp32.zo_tensors(models.POINTNET, 0)]
    assert sum(weights[name].size for name in learned) == 816_744
    assert [name for name in weights if name not in learned] == [
        f"norm{i}.{part}" for i in range(1, 6) for part in ("mean", "var")]          # after the parameters


def test_zo_moves_gamma_and_beta_and_restores_them():
    weights = fp32_draws.init_weights(TINY, 0)
    before = {name: array.copy() for name, array in weights.items()}
    names = fp32.zo_tensors(TINY, 1)
    settings = fp32.Settings(eps=0.01, eta=1e-3, clip=10, eta_tail=0.1)
    fp32.perturb(weights, names, 1, 0, 0, settings)
    moved = {name for name in weights if not np.array_equal(weights[name], before[name])}
    assert moved == {name for _, name in names}
    assert {"norm1.gamma", "norm3.beta"} <= moved and not {"fc2.weight", "norm1.mean"} & moved
    fp32.perturb(weights, names, -1, 0, 0, settings)
    for name in moved:
        close(weights[name], before[name].astype(np.float64), 1e-6)


def test_the_summary_counts_816744(tmp_path, monkeypatch, capsys):
    from types import SimpleNamespace

    from zo_numpy.app.report import summary
    from zo_numpy.run.config import make_config
    config = make_config({"model": "pointnet", "data": "modelnet40", "precision": "fp32", "bp_tail": 1})
    summary(config, SimpleNamespace(complete=True), models.of_run(config))
    assert "pointnet, fp32, 816,744 parameters" in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_one_zo_step_along_a_known_slope_lowers_the_loss(precision):
    module, clouds = (fp32, fp32_clouds(5, TINY)) if precision == "fp32" else (int8, int8_clouds(5, TINY))
    labels = np.uint8([0, 1, 2, 3, 4])
    better = 0
    for seed in range(20):
        weights = fp32_draws.init_weights(TINY, seed) if precision == "fp32" else int8_weights(TINY, seed)
        if precision == "fp32":
            settings = fp32.Settings(eps=1e-3, eta=1e-4, clip=100, eta_tail=0)
        else:
            settings = int8.Settings(r_max=3, p_zero=0, b_zo=2, b_bp=1, r_limit=3)
            int8_precision.clip_for_zo(weights, int8.zo_tensors(TINY, 0), 3)
        before = module.train_step(TINY, 0, weights, clouds, labels, seed, 0, settings)
        after = module.train_step(TINY, 0, weights, clouds, labels, seed, 1, settings)
        better += sum(after[:2]) < sum(before[:2])
    assert better >= 15


def test_int8_layers_without_batch_norm_are_those_of_the_trace():
    seen = []
    weights, x = int8_weights(TINY), int8_clouds(2, TINY)
    int8_layers.forward(TINY.layers, weights, QTensor(x, -7), record=lambda op, name, value: seen.append(op))
    assert "BatchNorm" not in seen and seen.count("MaxOverPoints") == 1 and seen.count("requantise") == 5


# Integers only

def int8_run(module, kind, bp_tail, frozen=False):
    """(log, final weights, logits) of a short run of the narrow PointNet whose arrays are all of `kind`.

    module: gives a module of zo_numpy, or of a copy, by its name.
    """
    model, variants, precision = module("models").NARROW_POINTNET, module("int8.variants"), module("int8.precision")
    names = [layer.name for layer in module("models").weight_layers(model.layers)]
    weights = module("int8.draws").init_weights(model, 1, dict.fromkeys(names, 1))
    precision.clip_for_zo(weights, precision.zo_tensors(model, bp_tail), 15)
    weights = {name: weight._replace(data=weight.data.view(kind)) for name, weight in weights.items()}
    settings = precision.Settings(r_max=15, p_zero=64, b_zo=2, b_bp=3, r_limit=15)
    log = []
    for step in range(2):
        x, labels = int8_clouds(5, model, step).view(kind), (np.arange(5) * 2).astype(np.uint8).view(kind)
        log.append(variants.train_step(model, bp_tail, weights, x, labels, 0, step, settings,
                                       variant=variants.Variant(frozen=frozen)))
    logits = precision.logits_of(model, weights, x)
    return log, [weight.data.tobytes() for weight in weights.values()], logits.data.tolist(), logits.exponent


def original(module):
    return importlib.import_module(f"zo_numpy.{module}")


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("bp_tail, frozen", [(0, False), (1, False), (2, False), (3, False), (2, True)])
def test_training_on_clouds_meets_no_float(monkeypatch, bp_tail, frozen, threads):
    monkeypatch.setenv("ZO_NUMPY_THREADS", threads)
    expected = int8_run(original, np.ndarray, bp_tail, frozen)
    with watching(package_modules("zo_numpy")) as seen:
        got = int8_run(original, Watched, bp_tail, frozen)
    assert got == expected
    assert "zo_numpy.int8.tiled.reduce" in seen                                # the arrays made there are watched too


FLOATS = [   # file, text, what replaces it
    ("int8/tiled.py", "largest[rows, i] = product.max(axis=1)", "largest[rows, i] = product.mean(axis=1)"),
    ("int8/tiled.py", "keep(np.maximum(product, 0, out=product), kept[:, tile])",
     "keep(np.maximum(product, 0.0, out=product, casting='unsafe'), kept[:, tile])"),
    ("int8/tiled.py", "kept.view(np.int8).reshape(-1, n, points)",
     "(kept * 1.0).astype(np.int8).reshape(-1, n, points)"),
]


@pytest.mark.parametrize("file, old, new", FLOATS, ids=[new[:40] for *_, new in FLOATS])
def test_a_planted_float_is_caught_and_its_line_named(tmp_path, file, old, new):
    name = "zo_numpy_planted_points"
    with planted(tmp_path, pathlib.Path(zo_numpy.__file__).parent, name, file, old, new) as (module, path):
        with pytest.raises(FloatFound) as found, watching(package_modules(name)):
            int8_run(module, Watched, 1)
    assert new in str(found.value) and str(path) in str(found.value)


def test_fp32_variance_of_a_constant_product_is_never_negative():
    """A third coordinate that is the sum of two others, and weights that take it away again: rounding alone is left."""
    block = (PointLinear("mlp", 3, 1), BatchNorm("norm", 1), ReLU())
    ones = {"norm.gamma": np.ones(1, np.float32), "norm.beta": np.zeros(1, np.float32)}
    for seed in range(50):
        draw, statistics = np.random.default_rng(seed), {}
        x = draw.normal(0, 1000, (2, 50, 3)).astype(np.float32)
        x[..., 2] = x[..., 0] + x[..., 1]
        weight = np.float32([[1, 1, -1]]) * np.float32(draw.normal())
        fp32_tiled.normalised_layer(block, {"mlp.weight": weight, **ones}, x, statistics)
        assert statistics["norm"].var >= 0
