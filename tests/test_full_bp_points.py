"""Full BP of PointNet: INT8 equals its loop twin to the bit, FP32 central differences; bugs are planted in both."""
import pathlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import twins_full_bp
from experiments.full_bp import fp32, int8, int8_points
from planted import planted
from small_clouds import train, write_modelnet
from small_runs import assert_same_run, metrics
from tripwire import Watched, float_sites, package_modules, watching
from zo_numpy import models
from zo_numpy.fp32 import draws as fp32_zo_draws, elastic_zo as fp32_zo
from zo_numpy.fp32.layers import forward
from zo_numpy.fp32.loss import cross_entropy
from zo_numpy.int8 import elastic_zo as int8_zo, tiled
from zo_numpy.int8.arith import QTensor

FOLDER = pathlib.Path(int8.__file__).parent
TINY = models.pointnet("tiny", 6, 4, (4, 5, 7), (6,))
SETTINGS = int8_zo.Settings(r_max=1, p_zero=0, b_zo=1, b_bp=4, r_limit=1)


def int8_weights(seed, bound=127):
    draw = np.random.default_rng(seed)
    return {layer.name: QTensor(draw.integers(-bound, bound + 1, layer.weight_shape).astype(np.int8), -8)
            for layer in models.weight_layers(TINY.layers)}


def int8_batch(n, seed, bound=127):
    """A small `bound` makes many equal maxima."""
    draw = np.random.default_rng(seed)
    return (draw.integers(-bound, bound + 1, (n, *TINY.input_shape)).astype(np.int8),
            draw.integers(0, TINY.classes, n).astype(np.uint8))


def as_pairs(weights):
    return {name: (weight.data.tolist(), weight.exponent) for name, weight in weights.items()}


def steps_equal_the_twin(module):
    for seed, (n, bound) in enumerate(((1, 127), (5, 127), (5, 1), (3, 2))):
        weights, (x, labels) = int8_weights(seed), int8_batch(n, seed, bound)
        for b_bp in (6, 2):
            expected, loss = twins_full_bp.train_step(TINY, as_pairs(weights), x.tolist(), labels.tolist(), b_bp)
            settings = SETTINGS._replace(b_bp=b_bp)
            assert module.train_step(TINY, "all", weights, x, labels, 0, 0, settings) == (loss, loss, 0)
            assert as_pairs(weights) == expected
    block, sum_of_two = TINY.layers[6:10], QTensor(np.int8([[1, 1]]), 0)       # different points of equal sums
    block = (block[0]._replace(name="sum", in_channels=2, out_channels=1), *block[1:])
    x = QTensor(np.int8([[[0, 0], [1, 2], [2, 1]]]), 0)
    _, where = module.int8_points.forward_block_kept(block, {"sum": sum_of_two}, x)
    assert where.tolist() == [[1]]                                                # the first of them


def test_int8_steps_equal_the_twin():
    steps_equal_the_twin(int8)


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("tile_bytes", [1, 100])
def test_int8_bits_do_not_depend_on_tiles_and_threads(monkeypatch, threads, tile_bytes):
    monkeypatch.setenv("ZO_NUMPY_THREADS", threads)
    monkeypatch.setattr(tiled, "POINT_TILE_BYTES", tile_bytes)
    steps_equal_the_twin(int8)


def test_gradients_over_more_points_than_an_int32_holds_are_exact():
    error, x = np.full((3, 90_000, 1), 127, np.int8), np.full((3, 90_000, 2), -127, np.int8)
    total = int8_points.point_linear_gradient(error, x)
    assert total.dtype == np.int64 and (total == -3 * 90_000 * 127**2).all() and total.max() < -2**31


def test_a_recorded_step_is_the_same_step():
    for module, weights, (x, labels), settings in (
            (int8, int8_weights(2), int8_batch(4, 2), SETTINGS),
            (fp32, fp32_zo_draws.init_weights(TINY, 2), fp32_batch(4, 2, np.float32),
             fp32_zo.Settings(1e-3, 1e-4, 1.0, 0.1))):
        copy = {name: QTensor(w.data.copy(), w.exponent) if module is int8 else w.copy() for name, w in weights.items()}
        seen = []
        one = module.train_step(TINY, "all", weights, x, labels, 0, 0, settings, lambda *record: seen.append(record))
        two = module.train_step(TINY, "all", copy, x, labels, 0, 0, settings)
        assert one == pytest.approx(two, rel=1e-5) and {"MaxOverPoints", "PointLinear", "point_linear_gradient"} <= {
            op for _, op, *_ in seen}


# FP32

def fp32_weights(seed):
    """In float64, with gamma of both signs, as training may make it."""
    draw = np.random.default_rng(seed)
    weights = {name: value.astype(np.float64) for name, value in fp32_zo_draws.init_weights(TINY, seed).items()}
    for name, value in weights.items():
        if name.endswith("gamma"):
            value *= np.where(np.arange(len(value)) % 2, 1, -1)
        if name.endswith(("gamma", "beta", "bias")):
            value += draw.normal(size=value.shape) / 2
    return weights


def fp32_batch(n, seed, dtype=np.float64):
    draw = np.random.default_rng(seed)
    clouds = draw.uniform(-0.57, 0.57, (n, *TINY.input_shape)).astype(dtype)
    return clouds, draw.integers(0, TINY.classes, n).astype(np.uint8)


def gradients_are_central_differences(module):
    for seed, n in ((0, 3), (1, 6)):
        weights, (x, labels) = fp32_weights(seed), fp32_batch(n, seed)

        def loss():
            logits, _ = module.forward_kept(TINY, weights, x, None, {})
            return cross_entropy(logits, labels)

        statistics = {}
        logits, kept = module.forward_kept(TINY, weights, x, None, statistics)
        gradients = module.gradients_of(TINY, weights, logits, kept, labels, None, statistics)
        assert_allclose(logits, forward(TINY.layers, weights, x, None, {}), rtol=1e-9)
        assert gradients.keys() == {name for _, name in fp32_zo.zo_tensors(TINY, 0)}
        for name, gradient in gradients.items():
            numeric = np.empty_like(gradient)
            for place in np.ndindex(gradient.shape):
                value, sides = weights[name][place], []
                for side in (1e-6, -1e-6):
                    weights[name][place] = value + side
                    sides.append(loss())
                weights[name][place] = value
                numeric[place] = (sides[0] - sides[1]) / 2e-6
            assert np.isfinite(gradient).all() and gradient.shape == weights[name].shape and np.any(numeric), name
            error = np.abs(gradient - numeric).max()
            if not error <= 1e-7 * max(1, np.abs(numeric).max()):
                raise AssertionError(f"{name}: off by {error}")


def test_fp32_gradients_are_central_differences():
    gradients_are_central_differences(fp32)


def test_an_fp32_step_goes_down_the_gradient_and_moves_the_running_statistics():
    weights, (x, labels) = fp32_zo_draws.init_weights(TINY, 0), fp32_batch(6, 0, np.float32)
    chosen = fp32_zo.Settings(eps=1e-3, eta=1e-4, clip=1.0, eta_tail=0.02)
    losses = [fp32.train_step(TINY, "all", weights, x, labels, 0, step, chosen)[0] for step in range(20)]
    assert losses[-1] < 0.8 * losses[0]
    assert weights["norm1.mean"].any() and all(value.dtype == np.float32 for value in weights.values())


# Bugs put into a copy of experiments/full_bp

BUGS = [   # file, text, what replaces it
    ("shapes.py", 'np.argsort(where, kind="stable")', "np.arange(len(where))"),
    ("shapes.py", "np.add.reduceat(rows[order], starts, axis=0, dtype=rows.dtype)",
     "rows[order][starts]"),                                                           # the first of each alone
    ("int8_points.py", "product.argmax(axis=1)", "product.shape[1] - 1 - product[:, ::-1].argmax(axis=1)"),   # the last
    ("int8_points.py", "total += own * x[i][where[i]]", "total = own * x[i][where[i]]"),
    ("int8_points.py", "passed[i][at] = sums", "passed[0][at] = sums"),
    ("fp32_points.py", "- normalised * (gamma_gradient / count))", ")"),
    ("fp32_points.py", "error - beta_gradient / count", "error"),
    ("fp32_points.py", "    passed -= level @ weight\n", ""),
    ("fp32_points.py", "np.outer(level, total) + slope", "slope"),
    ("fp32_points.py", "scale * beta_gradient / count - slope", "scale * beta_gradient / count + slope"),
    ("fp32_points.py", "stream(weight, x, reduce)", "stream(np.abs(weight), x, reduce)"),
    ("fp32_points.py", "inverse = 1 / np.sqrt(statistics.var + x.dtype.type(EPSILON))\n    normalised = (x -",
     "inverse = 1 / np.sqrt(statistics.var + 1)\n    normalised = (x -"),
]


@pytest.mark.parametrize("file, old, new", BUGS, ids=[new[:40] for _, _, new in BUGS])
def test_a_planted_bug_is_noticed(tmp_path, file, old, new):
    noticed = 0
    with planted(tmp_path, FOLDER, "full_bp_with_a_bug", file, old, new) as (module, _):
        for precision, check in (("int8", steps_equal_the_twin), ("fp32", gradients_are_central_differences)):
            if file.startswith((precision, "shapes")):
                with pytest.raises((AssertionError, ValueError, IndexError)):
                    check(module(precision))
                noticed += 1
    assert noticed == (2 if file == "shapes.py" else 1)


# Integers only

def test_an_int8_step_meets_no_float():
    def steps(kind):
        weights = {name: QTensor(weight.data.view(kind), weight.exponent) for name, weight in int8_weights(0).items()}
        x, labels = (array.view(kind) for array in int8_batch(5, 0))
        log = [int8.train_step(TINY, "all", weights, x, labels, 0, step, SETTINGS) for step in range(2)]
        return log, as_pairs(weights)

    expected = steps(np.ndarray)
    with watching(package_modules("zo_numpy")):
        assert steps(Watched) == expected
    assert float_sites((FOLDER / "int8_points.py").read_text(), "int8_points.py") == []


# Whole runs

@pytest.mark.parametrize("precision, tuned", [("fp32", ("--eta-tail", "0.05")), ("int8", ("--b-bp", "4"))])
def test_a_run_learns_and_resumes(tmp_path, precision, tuned):
    data = write_modelnet(tmp_path / "data")
    options = ("--bp-tail", "all", "--precision", precision, *tuned)
    run = train(data, tmp_path / "run", *options, epochs=12)
    losses = [line["train_loss"] for line in metrics(run)]
    assert losses[-1] < 0.7 * losses[0]
    again = train(data, tmp_path / "again", *options, epochs=12)
    assert_same_run(again, run)
    (again / "checkpoint.npz").unlink()
    train(data, again, "--resume", epochs=12)
    assert_same_run(again, run)
    assert_array_equal(*[np.load(folder / "checkpoint.npz")["weight.fc1" + (".weight" if precision == "fp32" else "")]
                         for folder in (run, again)])
