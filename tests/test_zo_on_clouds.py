"""Candidates for ZO on clouds, and what one of its steps is worth: what each changes, and that a wrong sign shows."""
import json

import numpy as np
import pytest

import datasets
from experiments import common, gradient_agreement, step_falls, zo_on_clouds
from small_runs import ROOT
from zo_numpy import models
from zo_numpy.fp32 import elastic_zo as fp32
from zo_numpy.int8 import elastic_zo as int8
from zo_numpy.run.config import make_config
from zo_numpy.run.fitting import fitted
from zo_numpy.run.steps import PRECISIONS, one_step, parts


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The candidates on a few synthetic clouds; results in a folder of their own."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(zo_on_clouds, "COMMON", dict(model="narrow-pointnet", data="synthetic-solids", points=16,
                                                     precision="fp32", bp_tail=1, validate=20, limit=32, epochs=1))
    return tmp_path


def test_a_candidate_trains_the_parameters_that_it_names_and_no_others(place):
    config = make_config(zo_on_clouds.COMMON)
    dataset = datasets.load("synthetic-solids", points=16, announce=lambda text: None)
    config = fitted(config, dataset)
    samples = parts(config, dataset)[0]
    for trains, chosen in zo_on_clouds.PARTS.items():
        before, after = (PRECISIONS["fp32"].initialise(config) for _ in range(2))
        one_step(config, zo_on_clouds.method_of(config, trains), after, *samples, 0)
        below = [name for _, name in fp32.zo_tensors(models.of_run(config), 1)]
        moved = {name for name in below if not np.array_equal(before[name], after[name])}
        assert moved == {name for name in below if chosen(name)} and 0 < len(moved) < len(below)


def test_the_step_of_this_script_is_that_of_train_where_it_trains_all(place, monkeypatch):
    monkeypatch.setitem(zo_on_clouds.PARTS, "all", lambda name: True)
    digests = [zo_on_clouds.train(options)["weights_sha256"] for options in (
        {}, dict(trains="all"), dict(trains="norms"), dict(zo_frozen=True))]
    assert digests[0] == digests[1] and len(set(digests)) == 3


def test_rows_are_trained_once_and_stand_beside_the_control_of_their_seed(place, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["zo_on_clouds", "--seeds", "2", "--only", "frozen"])
    assert zo_on_clouds.main() == 0
    rows = json.loads((place / "tuning_clouds_zo.json").read_text())["rows"]
    assert set(rows) == {"frozen", "frozen-seed1"}
    monkeypatch.setattr(zo_on_clouds, "train", None)
    assert zo_on_clouds.main() == 0
    made = {"frozen": (5, 10), "frozen-seed1": (6, 10), "as it is": (7, 10), "as it is-seed2": (9, 10)}
    assert zo_on_clouds.gains({name: dict(correct=right, clouds=of) for name, (right, of) in made.items()},
                              "as it is") == {0: pytest.approx(20)}


@pytest.mark.parametrize("precision, module", [("fp32", fp32), ("int8", int8)])
def test_the_loss_falls_along_the_gradient_and_rises_with_the_sign_of_g_turned(precision, module, monkeypatch):
    for name, value in {"BATCH": 16, "DRAWS": 24, "FACTORS": {"fp32": (1,), "int8": (1,)}}.items():
        monkeypatch.setattr(step_falls, name, value)
    more = dict(r_max=(3,), p_zero=(128,), headroom=(1,) * 5) if precision == "int8" else dict(eta=(1e-3,))
    config = make_config(dict(model="narrow-lenet", data="mnist-subset", precision=precision, bp_tail=3, limit=64,
                              tail_scale="own", **more))
    data = parts(config, datasets.load("mnist-subset"))[0]
    weights, zo_gradient = PRECISIONS[precision].initialise(config), module.zo_gradient
    kept = gradient_agreement.copied(weights)
    row = step_falls.measured(config, weights, *data)
    assert row["cosine"][0] > 4 * row["cosine"][1] and 0.5 < row["cosine"][0] / row["theory"] < 2
    assert row["fall"][0][0] > 0 and row["fall_along_gradient"][0][0] > 2 * row["fall"][0][0]
    monkeypatch.setattr(module, "zo_gradient", lambda *given: -zo_gradient(*given))
    turned = step_falls.measured(config, weights, *data)
    assert turned["cosine"][0] < -4 * row["cosine"][1] and turned["fall"][0][0] < 0
    for name, value in kept.items():   # nothing has changed the weights that were handed in
        np.testing.assert_array_equal(*(getattr(array, "data", array) for array in (value, weights[name])))


def test_the_step_beside_a_zo_step_has_its_length():
    draw = np.random.default_rng(0)
    step, slope = draw.normal(size=500), draw.normal(size=500)
    assert np.linalg.norm(step_falls.along_gradient(step, slope, "fp32")) == pytest.approx(np.linalg.norm(step))
    ones = np.where(np.arange(500) < 60, 1.0, 0.0)
    made = step_falls.along_gradient(ones, slope, "int8")
    assert np.linalg.norm(made) == np.linalg.norm(ones) and made @ slope == np.sort(np.abs(slope))[-60:].sum()


def test_with_one_norm_both_passes_differ_by_the_weights_alone(place, monkeypatch):
    as_it_is, one_norm = (zo_on_clouds.train(options)["weights_sha256"] for options in ({}, dict(one_norm=True)))
    assert as_it_is != one_norm
    losses = []
    monkeypatch.setattr(fp32, "zo_gradient", lambda plus, minus, settings: losses.append((plus, minus)) or 0.0)
    zo_on_clouds.train(dict(one_norm=True, eps=(1e-12,)))   # so small that theta + z is theta
    assert losses and all(plus == minus for plus, minus in losses)
    losses.clear()
    zo_on_clouds.train(dict(one_norm=True))
    assert losses and all(plus != minus for plus, minus in losses)
