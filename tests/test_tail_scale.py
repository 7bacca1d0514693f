"""The running scale of the tail's steps: by hand, against the twin, plain and tiled alike, and as part of a run."""
import itertools

import numpy as np
import pytest

import datasets
import twins_full_bp
import twins_training
from experiments.full_bp import int8 as full_bp
from test_elastic_zo_int8 import FROZEN, SETTINGS, TINY, as_pairs, batch, fresh
from zo_numpy import models
from zo_numpy.__main__ import main
from zo_numpy.errors import UserError
from zo_numpy.golden import committed
from zo_numpy.int8 import elastic_zo, precision, tail, variants
from zo_numpy.int8.arith import QTensor
from zo_numpy.int8.precision import initialise, to_arrays
from zo_numpy.int8.variants import Variant
from zo_numpy.run import trainer
from zo_numpy.run.config import make_config
from zo_numpy.run.config_json import as_json, config_from_json
from zo_numpy.run.checkpoint import digest
from zo_numpy.run.steps import one_step, own_method, parts

SUBSET = datasets.load("mnist-subset")
RUN = dict(committed.SETTINGS["int8"], model="narrow-lenet", data="mnist-subset", bp_tail=2, tail_scale="running",
           batch_size=1, epochs=2, limit=40, validate=30, b_bp=(3, -1))


def scale_of(reference, age=0):
    return np.array([reference, age], np.int32)


# One step of one layer.

def test_a_step_by_hand():
    scale = scale_of(-1024)
    # 200 is 8 bits wide; at exponent -10 its size is -2, and the first gradient decides: shift 8 - 3 = 5.
    step = tail.running_step(QTensor(np.int32([200, -200, 31]), -10), 3, scale)
    assert step.tolist() == [6 + 1, -(6 + 1), 0 + (0b111 > 0b11 * 2)] and scale.tolist() == [8 - 10, 0]
    # A quarter of it: two bits below the reference, so the same shift, and its step is a quarter.
    step = tail.running_step(QTensor(np.int32([50, -50, 8]), -10), 3, scale)
    assert step.tolist() == [1 + (0b100 > 0b10 * 2), -1 - (0b100 > 0b10 * 2), 0 + (0b010 > 0)]
    assert scale.tolist() == [-2, 1]
    # As large as the first on the absolute scale, whatever its exponent.
    tail.running_step(QTensor(np.int32([3 << 20]), -24), 3, scale)
    assert scale.tolist() == [22 - 24, 0]


def test_a_reference_falls_by_one_after_64_gradients_below_it():
    scale, small, zero = scale_of(5), QTensor(np.int32([[1]]), 0), QTensor(np.int32([[0]]), 99)
    for number in range(1, 64):
        tail.running_step(small if number % 2 else zero, 0, scale)
        assert scale.tolist() == [5, number]
    tail.running_step(small, 0, scale)
    assert scale.tolist() == [5 - 1, 0]


@pytest.mark.parametrize("largest, most", [(1, 30), (2**31 - 1, 30), (2**31, 62), (2**40, 62)])
def test_a_shift_leaves_nothing_of_a_gradient_far_below_its_reference(largest, most):
    """30 places are enough for sums of 32 bits, 62 for those of 64 bits that full backpropagation has."""
    size = largest.bit_length()
    for distance in (most - 1, most, most + 1, most + 500):
        assert tail.running_shift(largest, -9, 7, scale_of(distance + 7 - 9)) == min(distance, most)
    assert tail.running_shift(largest, -9, size, scale_of(-1024)) == 0


def test_scales_before_the_first_step():
    scales = tail.first_scales(models.split_tail(TINY.layers, 2)[1])
    assert {name: (value.dtype, value.tolist()) for name, value in scales.items()} == {
        "fc2.scale": (np.int32, [-1024, 0]), "fc3.scale": (np.int32, [-1024, 0])}
    scale, zero = scales["fc3.scale"], QTensor(np.int32([[0]]), 0)
    for _ in range(64):
        tail.running_step(zero, 1, scale)
    assert scale.tolist() == [-1025, 0]


@pytest.mark.parametrize("b_bp", range(-8, 8))
def test_steps_equal_the_twin(b_bp):
    draw = np.random.default_rng(b_bp + 8)
    scale, twin = scale_of(-1024), (-1024, 0)
    for number in range(300):
        bound = int(draw.choice([0, 1, 100, 2**15, 2**30])) if number < 40 else 3
        data = draw.integers(-bound, bound + 1, (3, 4)).astype(np.int32)
        exponent = int(draw.integers(-40, -10)) if number < 40 else -60
        step = tail.running_step(QTensor(data, exponent), b_bp, scale)
        expected, *twin = twins_training.running_step(data.tolist(), exponent, b_bp, *twin)
        assert (step.tolist(), scale.tolist()) == (expected, twin)
        assert step.dtype == np.int32 and np.abs(step).max() <= 2**max(b_bp, 0)
    assert twin[1] < 64 and twin[0] > -1024


# Whole steps.

METHODS = [
    *((bp_tail, {}, Variant()) for bp_tail in range(4)), (2, {"b_bp": 0}, Variant()), (3, {"b_bp": -5}, Variant()),
    (3, {"b_bp": 7}, Variant()), (2, {}, Variant(tail_passes="both")), (3, {"b_bp": 0}, Variant(tail_passes="both")),
    (2, {}, Variant(queries=2)), (2, {}, Variant(queries=3, tail_passes="both")),
    (1, {}, FROZEN), (2, {"b_bp": 1}, Variant(frozen=True, tail_passes="both"))]


def running(weights, bp_tail):
    return weights | tail.first_scales(models.split_tail(TINY.layers, bp_tail)[1])


def scales_of(weights):
    return {name.removesuffix(tail.SCALE): tuple(value.tolist()) for name, value in weights.items()
            if name.endswith(tail.SCALE)}


def quantised(weights):
    return {name: weight for name, weight in weights.items() if isinstance(weight, QTensor)}


@pytest.mark.parametrize("record", [None, lambda *noted: None], ids=["tiled", "plain"])
@pytest.mark.parametrize("bp_tail, changes, variant", METHODS)
def test_whole_steps_equal_the_twin(bp_tail, changes, variant, record):
    settings = SETTINGS._replace(**changes)
    weights = running(fresh(TINY, bp_tail, seed=bp_tail), bp_tail)
    twin_weights, scales = as_pairs(quantised(weights)), scales_of(weights)
    for step, n in enumerate((3, 1, 2, 5, 4)):
        images, labels = batch(TINY, seed=step, n=n)
        got = variants.train_step(TINY, bp_tail, weights, images, labels, 7, step, settings, record, variant)
        twin_weights, *expected = twins_training.train_step(
            TINY, bp_tail, twin_weights, images.tolist(), labels.tolist(), 7, step, settings, variant, scales)
        assert list(got) == expected
        assert as_pairs(quantised(weights)) == twin_weights and scales_of(weights) == scales
    assert len(scales) == bp_tail and all(age < 10 and reference > -1024 for reference, age in scales.values())


def test_a_step_without_a_scale_is_as_it_was_and_one_with_it_differs():
    ends = []
    for with_scale in (False, True):
        weights = fresh(TINY, 2)
        weights = running(weights, 2) if with_scale else weights
        for step in range(6):
            elastic_zo.train_step(TINY, 2, weights, *batch(TINY, step % 2), 0, step, SETTINGS)
        ends.append(as_pairs(quantised(weights)))
    assert ends[0] != ends[1]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_full_bp_equals_the_twin(n):
    weights = running(fresh(TINY, 3), "all")
    pairs, scales = as_pairs(quantised(weights)), scales_of(weights)
    for step, b_bp in enumerate((5, 2, -1)):
        images, labels = batch(TINY, step, n)
        full_bp.train_step(TINY, "all", weights, images, labels, 0, step, SETTINGS._replace(b_bp=b_bp))
        pairs, _ = twins_full_bp.train_step(TINY, pairs, images.tolist(), labels.tolist(), b_bp, "integer", scales)
        assert as_pairs(quantised(weights)) == pairs and scales_of(weights) == scales


# A run.

def test_an_absent_field_means_own_and_own_is_not_written():
    own = make_config({**RUN, "tail_scale": "own", "b_bp": (3, 1)})
    assert "tail_scale" not in as_json(own) and config_from_json(as_json(own), "x").tail_scale == "own"
    config = make_config(RUN)
    assert as_json(config)["tail_scale"] == "running" and config_from_json(as_json(config), "x") == config
    arrays, _ = to_arrays(initialise(own))
    assert list(to_arrays(initialise(config))[0]) == [*arrays, "fc2.scale", "fc3.scale"]


@pytest.mark.parametrize("options, words", [
    (dict(tail_scale="largest"), "--tail-scale largest: choose one of own, running"),
    (dict(tail_scale="own", b_bp=(0,)), "--b-bp 0: choose a whole number from 1 to 7"),
    (dict(b_bp=(-9,)), "--b-bp -9: choose a whole number from -8 to 7"),
    (dict(precision="fp32"), "--tail-scale running has no meaning with --precision fp32: leave it out, or choose")])
def test_what_is_refused(options, words):
    given = {**RUN, **options}
    if options.get("precision") == "fp32":
        given = dict(precision="fp32", tail_scale="running")
    with pytest.raises(UserError, match=words):
        make_config(given)


def ended(folder):
    return {name: (folder / name).read_bytes() for name in ("steps.txt", "checkpoint.npz")}


def options_of(given):
    text = []
    for name, value in given.items():
        value = ",".join(map(str, value)) if isinstance(value, tuple) else value
        text += [f"--{name.replace('_', '-')}={value}"]
    return text


def test_a_run_that_was_cut_at_any_step_ends_in_the_same_bytes(tmp_path, monkeypatch, capsys):
    assert main(["train", *options_of(RUN), "--offline", "--out", str(tmp_path / "whole")]) == 0
    counter = itertools.count(1)
    train = trainer.Run.train

    def stops_every_step(run):
        run.should_stop = lambda: next(counter) % 7 == 0
        train(run)

    monkeypatch.setattr(trainer.Run, "train", stops_every_step)
    monkeypatch.setattr("zo_numpy.app.commands.stop_signals", FakeStop)
    cuts = 0
    while main(["train", *options_of(RUN), "--offline", "--out", str(tmp_path / "cut"), "--resume"]):
        cuts += 1
    assert cuts > 8 and ended(tmp_path / "cut") == ended(tmp_path / "whole")
    content = np.load(tmp_path / "whole" / "checkpoint.npz")
    assert content["weight.fc3.scale"].dtype == np.int32 and content["weight.fc3.scale"].shape == (2,)

    assert main(["export", str(tmp_path / "whole"), "--format", "npz"]) == 0
    assert main(["evaluate", str(tmp_path / "whole"), "--offline"]) == 0


class FakeStop:
    """Signals of a run that is stopped by its own count of steps."""

    def __enter__(self):
        return [2]

    def __exit__(self, *_):
        return False


def test_the_digest_of_a_run_holds_the_scales():
    config = make_config(RUN)
    weights, (images, labels) = initialise(config), parts(config, SUBSET)[0]
    one_step(config, own_method(config), weights, images, labels, 0)
    before = digest(to_arrays(weights)[0])
    weights["fc3.scale"][1] += 1
    assert digest(to_arrays(weights)[0]) != before


def test_fine_tuning_begins_with_scales_of_its_own(tmp_path):
    short = {**RUN, "epochs": 1, "limit": 5, "b_bp": (2,)}
    assert main(["train", *options_of(short), "--offline", "--out", str(tmp_path / "a")]) == 0
    for scale in ("own", "running"):
        given = {**short, "tail_scale": scale, "bp_tail": 1, "init_from": str(tmp_path / "a")}
        assert main(["train", *options_of(given), "--offline", "--out", str(tmp_path / scale)]) == 0
        names = {name for name in np.load(tmp_path / scale / "checkpoint.npz").files if name.endswith(".scale")}
        assert names == ({"weight.fc3.scale"} if scale == "running" else set())


def test_integers_learn_from_one_sample_at_a_time():
    """The control at batch 1: the running scale beats each gradient's own by far."""
    right = {}
    for scale in ("own", "running"):
        config = make_config(dict(data="mnist-subset", bp_tail=2, zo_frozen=True, tail_scale=scale, batch_size=1,
                                  limit=1500, validate=500, epochs=1, b_bp=(4, 3, 2, 1)))
        weights, ((images, labels), (seen, classes), _) = initialise(config), parts(config, SUBSET)
        for step in range(len(labels)):
            one_step(config, own_method(config), weights, images, labels, step)
        right[scale] = trainer.count_correct(precision, models.LENET5, weights, seen, classes)
    assert right["running"] > right["own"] + 50 and right["running"] > 350
