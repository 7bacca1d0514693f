"""Accuracy by batch size: which rows there are and which come first, and rows trained once, on a few images."""
import json

import pytest

from experiments import batch_picture, batch_rows, batch_size, common, rows
from experiments.rows import BP
from small_runs import ROOT

FEW = {"SAMPLES": 60, "EPOCHS": 1, "BATCHES": (20, 30), "SEEDS": 1, "DATA_SETS": ("mnist-subset",),
       "TITLES": {"mnist-subset": "a little of MNIST"}}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The experiment on a few images by zo_numpy, its runs and results in a folder of their own."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(rows, "RUNS", tmp_path / "runs")
    for module in (common, batch_size):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    for name, value in FEW.items():
        for module in (batch_rows, batch_size, batch_picture):
            monkeypatch.setattr(module, name, value, raising=False)
    return tmp_path / "results"


def run(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["batch_size", "--numpy", *words])
    return batch_size.main()


def test_no_two_rows_are_the_same_run_and_the_most_telling_come_first():
    made = batch_size.all_rows()
    assert len({row.name for row in made}) == len({json.dumps(rows.as_json(row.config)) for row in made}) == len(made)
    assert len(made) == 2 * 9 * 3 * (8 + 7 + 8)   # data sets, batches, seeds; K = 0 has one scale
    assert {row.config.limit * row.config.epochs for row in made} == {40_000}
    first = made[:40]
    assert {(row.options["data"], row.options["seed"], row.options["precision"]) for row in first} == {
        ("mnist", 1, "int8")}
    assert {row.options["batch_size"] for row in first} == {1, 8, 64, 256}
    assert {row.options["bp_tail"] for row in first} == {2, 3, BP}
    assert {row.options["tail_scale"] for row in first} == {"own", "running"}


def test_rows_are_trained_once_and_again_when_they_mean_something_else(place, monkeypatch, capsys):
    words = ("--only", "running-k2-b", "--jobs", "2")
    assert run(monkeypatch, *words) == 0
    stored = json.loads((place / "batch_size.json").read_text())
    assert set(stored["rows"]) == {f"mnist-subset-int8-running-k2-b{batch}-s1" for batch in (20, 30)}
    row = stored["rows"]["mnist-subset-int8-running-k2-b20-s1"]
    assert row["images"] == 2000 and 0 < row["correct"] <= 2000 and len(row["curve"]) == 1
    assert row["curve"] == [round(100 * row["correct"] / 2000, 2)] and row["options"]["tail_scale"] == "running"
    assert stored["memory"]["int8-k2-b30"] > stored["memory"]["int8-k2-b20"] > 100_000
    assert (place / "batch_size.png").stat().st_size > 10_000

    trained = []
    real = batch_size.train
    monkeypatch.setattr(batch_size, "train", lambda row, *rest: (trained.append(row.name), real(row, *rest)))
    assert run(monkeypatch, *words) == 0 and not trained
    monkeypatch.setattr(batch_rows, "EPOCHS", 2)
    assert run(monkeypatch, *words, "--list") == 0 and "not run" in capsys.readouterr().out
    assert run(monkeypatch, "--only", "running-k2-b20") == 0
    assert trained == ["mnist-subset-int8-running-k2-b20-s1"]


def test_a_row_that_fails_leaves_the_others_their_results(place, monkeypatch, capsys):
    def broken(row, **options):
        if row.options["batch_size"] == 30:
            raise batch_size.RowFailed("the row broke")
        return real(row, **options)

    real = batch_size.run_row
    monkeypatch.setattr(batch_size, "run_row", broken)
    assert run(monkeypatch, "--only", "own-all") == 1
    assert set(json.loads((place / "batch_size.json").read_text())["rows"]) == {"mnist-subset-int8-own-all-b20-s1"}
    assert "the row broke" in capsys.readouterr().err
