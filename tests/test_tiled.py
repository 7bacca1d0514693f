"""What training runs equals what layers.py, points.py and tail.py say plainly.

INT8 does bit for bit, FP32 within the tolerances of golden vectors. Training calls the one and traces the other: a bug
planted in either changes that output alone.
"""
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from zo_numpy import models, tiles
from zo_numpy.app.data import at_hand
from zo_numpy.app.methods import method_of
from zo_numpy.fp32 import draws as fp32_draws, layers as fp32_layers, tail as fp32_tail, tiled as fp32_tiled
from zo_numpy.golden.runs import made_lines
from zo_numpy.golden.tolerances import COMPUTED
from zo_numpy.golden.trace import export_trace
from zo_numpy.int8 import draws as int8_draws, layers as int8_layers, tail as int8_tail, tiled as int8_tiled
from zo_numpy.int8.arith import QTensor
from zo_numpy.models import BatchNorm, Conv2d, Flatten, Linear, MaxOverPoints, MaxPool2d, PointLinear, ReLU
from zo_numpy.run.config import make_config

BATCHES = (1, 2, 3, 31, 32, 257)
BLOCKS = {   # what a list of layers takes: the shape of a sample
    "conv": ((Conv2d("a", 2, 3, 3, 1),), (2, 6, 4)),
    "conv, relu": ((Conv2d("a", 2, 3, 3, 0), ReLU()), (2, 6, 4)),
    "conv, pool": ((Conv2d("a", 2, 3, 3, 1), MaxPool2d(2)), (2, 6, 4)),
    "conv, pool, relu, flatten": ((Conv2d("a", 2, 5, 3, 1), MaxPool2d(2), ReLU(), Flatten()), (2, 6, 4)),
    "linear": ((Linear("a", 72, 6),), (72,)),
    "linear, relu": ((Linear("a", 72, 11), ReLU()), (72,)),
    "points": ((PointLinear("a", 3, 8), BatchNorm("n", 8), ReLU()), (5, 3)),
    "points, pooled": ((PointLinear("a", 3, 8), BatchNorm("n", 8), MaxOverPoints(), ReLU()), (5, 3)),
    "images": ((Conv2d("a", 1, 2, 3, 1), MaxPool2d(2), ReLU(), Conv2d("b", 2, 3, 3, 1), ReLU(), Flatten(),
                Linear("c", 27, 7), ReLU(), Linear("d", 7, 4)), (1, 6, 6)),
    "clouds": (models.pointnet("", 5, 4, (4, 6, 9), (8,)).layers, (5, 3)),
}
GRID = pytest.mark.parametrize("name", BLOCKS)
THREADS = pytest.mark.parametrize("threads", [1, 2, 3])


@pytest.fixture
def sizes(monkeypatch):
    """Sets the number of threads, used for however little, and the sizes of tiles in turn; yields for each."""
    def in_turn(threads, tiled):
        monkeypatch.setenv("ZO_NUMPY_THREADS", str(threads))
        for of in tiles.WORTH_A_THREAD:
            monkeypatch.setitem(tiles.WORTH_A_THREAD, of, 1)
        for tile_bytes, point_tile_bytes in ((1, 1), (5_000, 300), (1 << 30, 1 << 30)):
            monkeypatch.setattr(tiles, "TILE_BYTES", tile_bytes)
            monkeypatch.setattr(tiled, "POINT_TILE_BYTES", point_tile_bytes)
            yield
    return in_turn


# Forward passes: INT8

def int8_network(layers, seed):
    draw = np.random.default_rng(seed)
    return {layer.name: QTensor(draw.integers(-127, 128, layer.weight_shape).astype(np.int8), -9)
            for layer in models.weight_layers(layers)}


def int8_samples(name, shape, n):
    """What a data set has for a network, and what a block of it takes for a block."""
    draw = np.random.default_rng(n)
    if name == "images":
        return draw.integers(0, 256, (n, *shape), np.uint8)
    values = draw.integers(-127, 128, (n, *shape)).astype(np.int8)
    return values if name == "clouds" else QTensor(values, -7)


def assert_int8_equal(got, expected):
    assert got.data.dtype == np.int8 and got.exponent == expected.exponent
    assert_array_equal(got.data, expected.data)


@GRID
@THREADS
def test_int8_forward_passes_are_equal(sizes, name, threads):
    layers, shape = BLOCKS[name]
    for n in BATCHES:
        weights, x = int8_network(layers, n), int8_samples(name, shape, n)
        plain_inputs = []
        plain = int8_layers.forward(layers, weights, x if isinstance(x, QTensor) else int8_layers.network_input(x),
                                    plain_inputs)
        assert np.any(plain.data)
        for _ in sizes(threads, int8_tiled):
            inputs = []
            assert_int8_equal(int8_tiled.forward(layers, weights, x, inputs), plain)
            for one, other in zip(inputs, plain_inputs, strict=True):
                assert_int8_equal(one, other)
            assert_int8_equal(int8_tiled.forward(layers, weights, x), plain)


def samples_of_sums(sums):
    """(x, weight) of a linear layer of one output whose sums these are: (n, features) int8, (1, features) int8.

    Each sum, up to 64 * 127 * 127 + 127, is a multiple of 127 in many parts and what is left.
    """
    x = np.zeros((len(sums), 65), np.int8)
    for row, total in zip(x, sums):
        row[0], multiple = total % 127, total // 127
        full = multiple // 127
        row[1:1 + full] = 127
        if full < 64:
            row[1 + full] = multiple % 127
    weight = np.full((1, 65), 127, np.int8)
    weight[0, 0] = 1
    return x, weight


def edges(shift):
    """Sums that a shift of the batch makes ties of, their neighbours, and what rounds up to 128."""
    top, half = 1 << (shift + 7), 1 << shift >> 1
    values = {0, 1, top - 1, top - half, top - half - 1, top >> 1, (top >> 1) - 1, (top >> 1) + 1}
    for k in (0, 1, 2, 62, 63, 64, 126):
        values |= {(k << shift) + half + d for d in (-1, 0, 1)}
    return sorted(v for v in values if 0 <= v < top)


def assert_sums_are_requantised(sizes, sums):
    x, weight = samples_of_sums(sums)
    assert (x.astype(int) @ weight[0].astype(int) == sums).all()
    for block, data in (((Linear("a", 65, 1), ReLU()), x), ((PointLinear("a", 65, 1), ReLU()), x[None])):
        given = block, {"a": QTensor(weight, 0)}, QTensor(data, 0)
        plain = int8_layers.forward_block(*given)
        for _ in sizes(1, int8_tiled):
            assert_int8_equal(int8_tiled.forward_block(*given), plain)
    return plain


@pytest.mark.parametrize("shift", range(13))
def test_every_tie_and_end_is_rounded_the_same_whatever_tile_it_is_in(sizes, shift):
    """Tiles of one sum have shifts of their own, from none to that of the batch."""
    values = edges(shift)
    top = (1 << (shift + 7)) - 1
    for sums in (values, values[::-1], [*range(0, min(256, top), 3), top], [0] * 40 + [top], [top] + [1] * 40):
        plain = assert_sums_are_requantised(sizes, sums)
        assert plain.exponent == shift and plain.data.max() == 127      # top rounds to 128, which is cut


@pytest.mark.parametrize("shift", [1, 2, 3, 4])
def test_every_sum_below_a_power_of_two_is_rounded_the_same(sizes, shift):
    assert_sums_are_requantised(sizes, list(range(1 << (shift + 7))))


def test_a_batch_of_zeros_stays_zero(sizes):
    assert not assert_sums_are_requantised(sizes, [0] * 9).data.any()


# Forward passes: FP32

def fp32_samples(name, shape, n):
    draw = np.random.default_rng(n)
    if name == "images":
        return draw.integers(0, 256, (n, *shape), np.uint8)
    return draw.uniform(-1, 1, (n, *shape)).astype(np.float32)


def fp32_network(layers, seed):
    draw = np.random.default_rng(seed)
    weights = fp32_draws.init_weights(models.Model("", (), 0, layers), seed)
    for name, value in weights.items():
        if not name.endswith((".weight", ".var")):
            value += draw.normal(size=value.shape).astype(np.float32)
    return weights


def assert_close(got, expected):
    largest = np.abs(expected).max()
    assert got.dtype == np.float32 and np.isfinite(got).all()
    error = np.abs(got.astype(np.float64) - expected).max()
    if not error <= COMPUTED * largest:
        raise AssertionError(f"off by {error} of {largest}")


@GRID
@THREADS
@pytest.mark.parametrize("training", [True, False])
def test_fp32_forward_passes_are_within_the_tolerances(sizes, name, threads, training):
    layers, shape = BLOCKS[name]
    for n in BATCHES:
        weights, x = fp32_network(layers, n), fp32_samples(name, shape, n)
        plain_inputs, plain_statistics = [], {} if training else None
        plain = fp32_layers.forward(layers, weights, fp32_layers.network_input(x), plain_inputs, plain_statistics)
        for _ in sizes(threads, fp32_tiled):
            inputs, statistics = [], {} if training else None
            assert_close(fp32_tiled.forward(layers, weights, x, inputs, statistics), plain)
            for one, other in zip(inputs, plain_inputs, strict=True):
                assert_close(one, other)
            for norm, of_batch in (plain_statistics or {}).items():
                for one, other in zip(statistics[norm], of_batch, strict=True):
                    assert_close(one, other)
            assert_close(fp32_tiled.forward(layers, weights, x, statistics=statistics), plain)


# Which of them training calls, and which a trace

def halved(right):
    def forward(*given, **more):
        out = right(*given, **more)
        return out._replace(data=out.data // 2) if isinstance(out, QTensor) else out / 2
    return forward


def of_class_0(right):
    return lambda tail, weights, logits, inputs, labels, *rest: right(tail, weights, logits, inputs, 0 * labels, *rest)


BUGS = {   # the modules of INT8 and FP32, the function, a function of the right one, which of the outputs changes
    "plain forward": ((int8_layers, fp32_layers), "forward", halved, "trace"),
    "plain tail": ((int8_tail, fp32_tail), "tail_steps", of_class_0, "trace"),
    "tiled forward": ((int8_tiled, fp32_tiled), "forward", halved, "training"),
    "tiled tail": ((int8_tiled, fp32_tiled), "train_tail", of_class_0, "training"),
}


@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("variant", [{}, {"tail_passes": "both"}, {"zo_frozen": True}], ids=["", "both", "frozen"])
def test_training_calls_the_tiled_path_and_a_trace_the_plain_one(tmp_path, precision, variant):
    config = make_config({"model": "narrow-lenet", "data": "mnist-subset", "precision": precision, "bp_tail": 2,
                          "epochs": 1, "batch_size": 8, "limit": 16, "validate": 8, **variant})

    def outcome(name):
        (tmp_path / name).mkdir()
        export_trace(config, at_hand(config), tmp_path / name, 1, False)
        return {"training": [line for file, line in made_lines(config, method_of(config), at_hand(config))
                             if file == "steps.txt"],
                "trace": (tmp_path / name / "manifest.json").read_bytes()}

    right = outcome("right")
    for bug, (modules, name, wrong, changed) in BUGS.items():
        module = modules[precision == "fp32"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, wrong(getattr(module, name)))
            got = outcome(bug)
        assert [what for what in right if got[what] != right[what]] == [changed], bug
