"""FP32's golden vectors of PointNet: batch norm's statistics, both of a step, and what moves the running ones."""
import json
import pathlib
import shutil

import numpy as np
import pytest

from zo_numpy.app.data import at_hand
from zo_numpy.fp32 import elastic_zo, layers, points
from zo_numpy.golden import check, committed, diff, tolerances

TRACES = pathlib.Path(__file__).parent / "golden" / "traces"
CLOUDS = TRACES / "narrow-pointnet-fp32-k2"


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


RECORDS = manifest_of(CLOUDS)["records"]


def number_of(*key):
    """The number of the record of a step, phase, op and name."""
    number, = (i for i, record in enumerate(RECORDS) if diff.key_of(record) == key)
    return number


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The committed trace, made again."""
    folder = tmp_path_factory.mktemp("made") / CLOUDS.name
    committed.make_trace(CLOUDS.name, at_hand, folder)
    return folder


def test_no_bug_no_finding(made):
    assert check.differences_of(CLOUDS, made) == (len(RECORDS), [])


def test_what_each_op_reads(made):
    records = manifest_of(made)["records"]

    def inputs(*key):
        return {"/".join(diff.key_of(records[i])[1:]) for i in records[number_of(0, *key)]["inputs"]}
    assert inputs("plus", "PointLinear", "mlp1") == {"plus/input/images", "plus/weights/mlp1.weight"}
    for phase in ("plus", "minus"):
        for part in ("mean", "var"):
            assert inputs(phase, "batch_statistics", f"norm5.{part}") == {f"{phase}/PointLinear/mlp5"}
        assert inputs(phase, "BatchNorm", "norm5") == {
            f"{phase}/{rest}" for rest in ("PointLinear/mlp5", "weights/norm5.gamma", "weights/norm5.beta",
                                           "batch_statistics/norm5.mean", "batch_statistics/norm5.var")}
        assert inputs(phase, "MaxOverPoints", "mlp5") == {f"{phase}/BatchNorm/norm5"}
    for part in ("mean", "var"):
        assert inputs("update", "weights", f"norm1.{part}") == {
            f"minus/weights/norm1.{part}", f"minus/batch_statistics/norm1.{part}"}
    assert inputs("update", "weights", "norm1.gamma") == {
        "minus/weights/norm1.gamma", "draw/perturbation/norm1.gamma", "update/clip/g"}


def test_statistics_and_running_statistics_by_hand(made):
    records = manifest_of(made)["records"]

    def array(*key):
        return np.load(made / records[number_of(0, *key)]["file"])
    for phase in ("plus", "minus"):
        product = array(phase, "PointLinear", "mlp4").astype(np.float64).reshape(-1, 6)
        mean, var = (array(phase, "batch_statistics", f"norm4.{part}") for part in ("mean", "var"))
        np.testing.assert_allclose(mean, product.sum(axis=0) / 48, atol=1e-6)
        np.testing.assert_allclose(var, ((product - product.mean(axis=0))**2).sum(axis=0) / 48, rtol=1e-5)
    assert np.abs(array("plus", "batch_statistics", "norm4.mean") - mean).max() > 1e-3    # the passes differ
    moved = {part: records[number_of(0, "update", "weights", f"norm4.{part}")]["sample"] for part in ("mean", "var")}
    np.testing.assert_allclose(moved["mean"], 0.1 * mean, rtol=1e-5)                          # from 0 and from 1
    np.testing.assert_allclose(moved["var"], 0.9 + 0.1 * var, rtol=1e-5)


def test_the_layers_of_fp32_have_batch_norm_and_those_of_int8_none(made, tmp_path):
    committed.make_trace("narrow-pointnet-int8-k2", at_hand, tmp_path / "int8")
    fp32, int8 = ([layer["type"] for layer in manifest_of(folder)["layers"]] for folder in (made, tmp_path / "int8"))
    assert [kind for kind in fp32 if kind != "BatchNorm"] == int8 and fp32.count("BatchNorm") == 5


# What the vectors find.

@pytest.mark.parametrize("op, name", [("PointLinear", "mlp4"), ("batch_statistics", "norm4.mean"),
                                      ("batch_statistics", "norm4.var"), ("BatchNorm", "norm4"),
                                      ("MaxOverPoints", "mlp5")])
@pytest.mark.parametrize("share, found", [(0.9, False), (1.1, True), (np.nan, True)])
def test_an_error_just_beyond_its_tolerance_is_caught(tmp_path, op, name, share, found):
    mine = shutil.copytree(CLOUDS, tmp_path / "mine")
    record = RECORDS[number_of(0, "plus", op, name)]
    array = np.load(mine / record["file"]).astype(np.float64)
    limits = tolerances.tolerances_of(manifest_of(CLOUDS), "manifest.json")
    at = np.unravel_index(np.abs(array).argmin(), array.shape)       # a small element, where float32 can hold the error
    array[at] += share * limits.allowed(record, np.abs(array).max())
    np.save(mine / record["file"], array.astype(np.float32))
    findings = diff.compare(CLOUDS, mine).findings
    assert [diff.key_of(finding.record) for finding in findings] == found * [(0, "plus", op, name)]


def test_clouds_are_exact(tmp_path):
    mine = shutil.copytree(CLOUDS, tmp_path / "mine")
    path = mine / RECORDS[number_of(1, "batch", "images", "batch")]["file"]
    clouds = np.load(path)
    clouds[1, 2, 0] = np.nextafter(clouds[1, 2, 0], np.float32(2))
    np.save(path, clouds)
    finding, = diff.compare(CLOUDS, mine).findings
    assert "index (1, 2, 0)" in finding.text and finding.record["op"] == "images"


def of_the_first_pass(monkeypatch):
    """Running statistics are moved by those at theta + z."""
    forward_pass, move, seen = elastic_zo.forward_pass, elastic_zo.update_running, {}

    def watched(phase, *given):
        out, statistics = forward_pass(phase, *given), given[6]
        seen[phase] = dict(statistics)
        return out
    monkeypatch.setattr(elastic_zo, "forward_pass", watched)
    monkeypatch.setattr(elastic_zo, "update_running", lambda weights, statistics: move(weights, seen["plus"]))


def in_each_pass(monkeypatch):
    """Running statistics are moved after either pass."""
    move = elastic_zo.update_running
    of_the_first_pass(monkeypatch)
    first = elastic_zo.update_running

    def both(weights, statistics):
        first(weights, statistics)
        move(weights, statistics)
    monkeypatch.setattr(elastic_zo, "update_running", both)


def sample_variance(monkeypatch):
    right = points.batch_statistics
    monkeypatch.setattr(layers, "batch_statistics", lambda x: right(x)._replace(var=x.var(axis=(0, 1), ddof=1)))


def running_in_training(monkeypatch):
    right = points.batch_norm
    monkeypatch.setattr(layers, "batch_norm", lambda x, gamma, beta, statistics: right(
        x, gamma, beta, points.Statistics(0 * statistics.mean, 1 + 0 * statistics.var)))


def other(name, value):
    return lambda monkeypatch: monkeypatch.setattr(points, name, value)


BUGS = {
    "of the first pass": (of_the_first_pass, (0, "update", "weights", "norm1.mean")),
    "in each pass": (in_each_pass, (0, "update", "weights", "norm1.mean")),
    "not moved": (lambda monkeypatch: monkeypatch.setattr(elastic_zo, "update_running", lambda *given: None),
                  (0, "update", "weights", "norm1.mean")),
    "momentum the other way": (other("MOMENTUM", 0.9), (0, "update", "weights", "norm1.mean")),
    "sample variance": (sample_variance, (0, "plus", "batch_statistics", "norm1.var")),
    "running ones in training": (running_in_training, (0, "plus", "BatchNorm", "norm1")),
    "another epsilon": (other("EPSILON", 1e-3), (0, "plus", "BatchNorm", "norm1")),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found_where_it_is(tmp_path, monkeypatch, bug):
    plant, first = BUGS[bug]
    plant(monkeypatch)
    committed.make_trace(CLOUDS.name, at_hand, tmp_path / "mine")
    finding = diff.compare(CLOUDS, tmp_path / "mine").findings[0]
    assert diff.key_of(finding.record) == first and finding.inputs_agree
