"""What lasts: files of older versions (tests/old) are read, and a new field or version changes no byte of theirs."""
import dataclasses
import json
import pathlib
import re
import shutil

import numpy as np
import pytest

from experiments.rows import Row, is_current
from small_runs import python, snapshot
from zo_numpy.__main__ import main
from zo_numpy.app import vectors
from zo_numpy.errors import UserError
from zo_numpy.golden import check, committed
from zo_numpy.run import config as configuration, config_json
from zo_numpy.run.checkpoint import digest
from zo_numpy.run.config import Numbers, make_config
from zo_numpy.run.config_json import BESIDE_CONFIG, as_json, config_from_json, read_config
from zo_numpy.run.steps import PRECISIONS
from zo_numpy.run.trainer import load_weights

OLD = pathlib.Path(__file__).parent / "old"
GOLDEN = pathlib.Path(__file__).parent / "golden"
RUNS = sorted(path.name for path in (OLD / "runs").iterdir())
CUT_RUN_ENDS_IN = "3d2b6f88c327cb50c6c218d1bfc76bdd3bd3c52f1364fd8d0993a71bc9435eb4"
TRACE, RUN = "narrow-lenet-int8-k2", "subset-int8-k2-limit"


@pytest.fixture(params=["today", "later"])
def version(request, monkeypatch):
    """This version, and a later one."""
    if request.param == "later":
        become_later(monkeypatch)


def become_later(monkeypatch):
    """Another version number; a field `momentum` and a schedule `b_new`, both with a default that older runs lack."""
    later = dataclasses.make_dataclass("Config", [("momentum", int, 5)], bases=(configuration.Config,), frozen=True)
    defaults = configuration.defaults
    for module in (configuration, config_json):
        monkeypatch.setattr(module, "Config", later)
    monkeypatch.setattr(config_json, "__version__", "9.0")
    monkeypatch.setitem(configuration.ADDED, "momentum", 0)
    monkeypatch.setitem(configuration.ADDED, "b_new", (1,))
    monkeypatch.setitem(configuration.NUMBERS, "momentum", configuration.whole(0, 9))
    monkeypatch.setitem(configuration.SCHEDULES["int8"], "b_new", Numbers(int, "1 to 7", range(1, 8)))
    monkeypatch.setitem(configuration.MEANINGS, "b_new", "bits")
    monkeypatch.setattr(configuration, "defaults", lambda precision, *given: {
        **defaults(precision, *given), **({"b_new": (2, 3)} if precision == "int8" else {})})


def call(capsys, *arguments):
    """What a command prints that ends well."""
    status = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert status == 0 and not said.err, said.err
    return said.out


def test_a_new_field_and_a_new_version_change_no_golden_vector(tmp_path, monkeypatch, capsys):
    become_later(monkeypatch)
    assert make_config({}).momentum == 5 and make_config({}).schedules["b_new"] == (2, 3)
    for name in ("ops", f"traces/{TRACE}", f"runs/{RUN}"):
        shutil.copytree(GOLDEN / name, tmp_path / name)
    monkeypatch.setattr(vectors, "GOLDEN", tmp_path)
    monkeypatch.setattr(committed, "TRACES", {TRACE: committed.TRACES[TRACE]})
    monkeypatch.setattr(committed, "RUNS", {RUN: committed.RUNS[RUN]})
    monkeypatch.setattr(check.contract, "check_files", lambda golden, made: (0, []))   # these list all vectors
    said = call(capsys, "golden", "check").splitlines()
    assert "no differences" in said[-1] and all(": equal" in line for line in said[:-1]) and len(said) == 5


def test_a_field_is_written_unless_it_has_the_value_that_its_absence_means(monkeypatch):
    before = as_json(make_config({}))
    become_later(monkeypatch)
    old = make_config({"momentum": 0, "b_new": (1,)})
    assert json.dumps(as_json(old)) == json.dumps(before) and config_from_json(before, "config.json") == old
    new = make_config({})
    assert as_json(new) == {**before, "momentum": 5, "schedules": {**before["schedules"], "b_new": (2, 3)}}
    assert config_from_json(json.loads(json.dumps(as_json(new))), "config.json") == new
    fp32 = make_config({"precision": "fp32"})
    assert config_from_json(as_json(fp32), "config.json") == fp32
    with pytest.raises(UserError, match="b_zo"):
        config_from_json({**before, "schedules": {"b_new": (1,)}}, "config.json")
    with pytest.raises(UserError, match="b_new missing or unknown"):   # at the wrong place
        config_from_json({**before, "b_new": (1,)}, "config.json")


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_an_older_version_is_evaluated_and_predicts(name, version, tmp_path, capsys):
    run, before = OLD / "runs" / name, snapshot(OLD / "runs" / name)
    assert re.search(r"test accuracy \d+\.\d\d % .* one at a time", call(capsys, "evaluate", run))
    config = read_config(run)
    sample = np.zeros((24, 3) if config.points else (28, 28), np.float32 if config.points else np.uint8)
    sample[..., 0] = np.linspace(0, 1, len(sample)) if config.points else 200
    np.save(tmp_path / "sample.npy", sample)
    assert "sample.npy: " in call(capsys, "predict", run, tmp_path / "sample.npy")
    weights, numbers = load_weights(config, run)
    *_, logged = (run / "steps.txt").read_text().split()
    assert name.endswith("-cut") or digest(PRECISIONS[config.precision].to_arrays(weights)[0]) == logged
    assert numbers["step"] == (4 if name.endswith("-cut") else 6)
    assert snapshot(run) == before


def test_a_run_of_an_older_version_is_gone_on_with_and_ends_as_it_would_have_then(version, tmp_path, capsys):
    shutil.copytree(OLD / "runs/lenet-int8-k2-cut", tmp_path / "run")
    said = call(capsys, "train", "--resume", "--out", tmp_path / "run", "--offline")
    assert "resumed at step 4" in said and f"weights sha256 {CUT_RUN_ENDS_IN}" in said
    assert (tmp_path / "run/curves.png").exists()
    assert (tmp_path / "run/config.json").read_bytes() == (OLD / "runs/lenet-int8-k2-cut/config.json").read_bytes()


def test_a_run_of_an_older_version_is_replayed_and_trained_further(version, tmp_path, capsys):
    run = OLD / "runs/lenet-int8-k0"
    assert f"weights sha256 {(run / 'steps.txt').read_text().split()[-1]}" in call(capsys, "replay", run)
    assert "resumed" not in call(capsys, "train", "--init-from", run, "--out", tmp_path / "run", "--limit", "32",
                                 *"--model narrow-lenet --data mnist-subset --offline --epochs 1".split())


@pytest.mark.parametrize("name", ["lenet-int8-k0", "lenet-fp32-k1"])
def test_an_export_of_an_older_version_holds_what_one_of_today_holds(name, version, tmp_path, capsys):
    call(capsys, "export", OLD / "runs" / name, "--format", "npz", "--out", tmp_path / "weights.npz")
    with np.load(OLD / "exports" / f"{name}.npz") as old, np.load(tmp_path / "weights.npz") as new:
        assert set(old) == set(new) and set(old)
        for key in old:
            np.testing.assert_array_equal(old[key], new[key], strict=True)


def test_a_header_of_an_older_version_holds_what_the_run_holds():
    text = (OLD / "exports/lenet-int8-k0.h").read_text()
    arrays, exponents = PRECISIONS["int8"].to_arrays(load_weights(read_config(OLD / "runs/lenet-int8-k0"),
                                                                  OLD / "runs/lenet-int8-k0")[0])
    found = dict(re.findall(r"static const int8_t (\w+)_weight\[\d+\] = \{([^}]*)\};", text))
    assert found.keys() == arrays.keys()
    for layer, values in found.items():
        assert [int(value) for value in re.findall(r"-?\d+", values)] == arrays[layer].reshape(-1).tolist()
        assert f"#define {layer.upper()}_EXPONENT ({exponents[layer + '.exponent']})" in text


def test_results_of_an_older_version_are_read(tmp_path):
    """By the tables, the list of rows and the figures."""
    shutil.copytree(OLD / "results", tmp_path / "results")
    clouds = tmp_path / "results/pointnet_full_p256.json"
    found = json.loads(clouds.read_text())
    found["rows"]["int8-k2-frozen"] = found["rows"]["int8-k2"]   # of one row alone there is no picture
    clouds.write_text(json.dumps(found))
    environment = {"ZO_NUMPY_RESULTS": str(tmp_path / "results")}
    tables = python("-m", "experiments.tables", "1", "2", env=environment)
    assert re.search(r"^K = 2 .* 97\.24 \(one seed\).* 96\.54 .*\+0\.70 \(one seed\)$", tables.stdout, re.MULTILINE), tables.stderr
    assert re.search(r"^not adapted .* 60\.59", tables.stdout, re.MULTILINE)
    rows = python("-m", "experiments.accuracy", "--list", env=environment).stdout
    assert "mnist-int8 k2: 97.24 % after epoch 30" in rows and "6,059 of 10,000 right, not adapted" in rows
    assert python("-m", "experiments.figures", env=environment).returncode == 0
    assert {"curves_mnist.png", "pointnet_full_p256.png"} <= {path.name for path in (tmp_path / "results").iterdir()}


def test_a_result_of_an_older_version_is_not_run_again(version, monkeypatch):
    """A row whose options are all written out, so that no default decides."""
    config = json.loads((OLD / "results/accuracy_mnist_int8.json").read_text())["rows"]["k2"]["config"]
    options = {name: value for name, value in config.items() if name not in BESIDE_CONFIG}
    row = Row("mnist-int8", "k2", {**options.pop("schedules"), **options, **configuration.ADDED})
    assert is_current(row, config)
    assert not is_current(row, {**config, "seed": 1}) and not is_current(row, {**config, "momentum": 3})
