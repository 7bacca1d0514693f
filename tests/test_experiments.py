"""The tables of accuracies: rows run in parallel, resumably, each result kept as it comes; what is printed of them."""
import json
import os
import random
import re
import subprocess
import sys

import numpy as np
import pytest

import datasets
from experiments import accuracy, batch_rows, cells, common, cost_tables, curves, figures, gradient_agreement, merge
from experiments import pointnet, pointnet_rows, rows, run_curves, tables
from experiments import run as run_all
from experiments.rows import BP, Row
from small_runs import ROOT
from zo_numpy.app.arguments import parse
from zo_numpy import models
from zo_numpy.fp32 import elastic_zo as fp32
from zo_numpy.int8 import elastic_zo as int8
from zo_numpy.run.config import make_config
from zo_numpy.run.steps import PRECISIONS, parts

SMALL = dict(model="narrow-lenet", data="mnist-subset", limit=200, batch_size=16, epochs=1)


def small(table, seeds):
    source = Row(table, "all", dict(SMALL, bp_tail=BP))
    yield source
    for seed in range(seeds):
        yield Row(table, rows.seeded("k1", seed), dict(SMALL, bp_tail=1, seed=seed))
    yield Row(table, "turned-none", dict(SMALL, rotate=90), source, trained=False)
    yield Row(table, "turned-k1", dict(SMALL, rotate=90, bp_tail=1), source)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An experiment of a few tiny rows, whose runs and results are in a folder of their own."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(rows, "RUNS", tmp_path / "runs")
    for module in (common, curves):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    for module in (rows, accuracy):
        monkeypatch.setattr(module, "TABLES", {"small": small})
    return tmp_path


def run(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["accuracy", *words])
    return accuracy.main()


def stored(place):
    return json.loads((place / "results" / "accuracy_small.json").read_text())["rows"]


def test_rows_run_two_at_a_time_and_only_once(place, monkeypatch, capsys):
    assert run(monkeypatch, "small", "--jobs", "2", "--seeds", "2") == 0
    results = stored(place)
    assert set(results) == {"all", "k1", "k1-seed1", "turned-none", "turned-k1"}
    assert results["k1"]["weights_sha256"] != results["k1-seed1"]["weights_sha256"]
    assert results["k1"]["curve"] == [results["k1"]["last_epoch"]["test_accuracy"]]
    assert results["turned-k1"]["config"]["init_from"].endswith("small/all")
    assert results["turned-none"]["right"]["all"]["images"] == 2000
    assert results["turned-none"]["right"]["first"]["images"] == 1024
    right = results["turned-k1"]
    assert right["right"]["all"]["correct"] == right["last_epoch"]["test_correct"] >= right["right"]["first"]["correct"]

    started = []
    monkeypatch.setattr(accuracy.subprocess, "run", lambda command, **options: started.append(command))
    before = (place / "results" / "accuracy_small.json").read_bytes()
    assert run(monkeypatch, "small", "--seeds", "2") == 0 and not started
    assert (place / "results" / "accuracy_small.json").read_bytes() == before
    assert run(monkeypatch, "--list", "--seeds", "1") == 0
    assert "not run" not in capsys.readouterr().out


def test_rows_made_apart_are_merged_and_nothing_is_replaced(place, monkeypatch, capsys):
    monkeypatch.setattr(merge, "APART", place / "apart")
    monkeypatch.setattr(run_all, "TABLES", {"small": small})
    monkeypatch.setattr(batch_rows, "all_rows", lambda: [])
    names = [list(words[4:]) for words in run_all.commands({}) if words[0] == "accuracy"]
    adapted = ["turned-none", "turned-k1"]   # one command, as they start from the same weights
    assert names == [["all"], ["k1"], ["k1-seed1"], ["k1-seed2"], adapted]
    for name in names[:2]:
        assert run(monkeypatch, "small", "--row", *name, "--apart") == 0
    assert sorted(path.name for path in (place / "apart").iterdir()) == [
        "accuracy_small--all.json", "accuracy_small--k1.json"]
    assert not (place / "results" / "accuracy_small.json").exists()
    monkeypatch.setattr("sys.argv", ["merge"])
    assert merge.main() == 0 and set(stored(place)) == {"all", "k1"}
    assert merge.main() == 0 and "added 0 rows, 0 differ or are damaged, 2 were there already" in capsys.readouterr().out

    before = (place / "results" / "accuracy_small.json").read_bytes()
    path = place / "apart" / "accuracy_small--k1.json"
    path.write_text(path.read_text().replace('"weights_sha256": "', '"weights_sha256": "0'))
    (place / "apart" / "cut.json").write_text('{"result": ')
    assert merge.main() == 1 and (place / "results" / "accuracy_small.json").read_bytes() == before
    said = capsys.readouterr().err
    assert "accuracy_small has another k1, which is kept" in said and "cut.json is no row of a result" in said


def test_a_failing_row_leaves_the_others_their_results(place, monkeypatch, capsys):
    def with_a_bad_one(table, seeds):
        yield Row(table, "bad", dict(SMALL, precision="fp32", bp_tail=0, eta=10, clip=1e9))
        yield Row(table, "good", dict(SMALL, bp_tail=1))
    for module in (rows, accuracy):
        monkeypatch.setattr(module, "TABLES", {"small": with_a_bad_one})
    monkeypatch.setattr(Row, "config", property(lambda row: make_config(
        {name: (value,) if name in ("eta", "clip") else value for name, value in row.options.items()})))
    assert run(monkeypatch, "small", "--jobs", "2") == 1
    assert set(stored(place)) == {"good"}
    assert "error: small bad ended with status 2, see" in capsys.readouterr().err
    assert "has diverged" in (place / "runs" / "small" / "bad.log").read_text()


def test_changed_defaults_make_a_row_run_again_and_keep_the_old_run(place, monkeypatch, capsys):
    assert run(monkeypatch, "small", "--only", "k1", "--seeds", "1") == 0
    first = stored(place)["k1"]
    monkeypatch.setitem(SMALL, "epochs", 2)
    assert run(monkeypatch, "--list", "--only", "k1", "--seeds", "1") == 0
    assert "small k1:" in (out := capsys.readouterr().out) and "(with other settings)" in out
    assert run(monkeypatch, "small", "--only", "k1", "--seeds", "1") == 0
    assert len(stored(place)["k1"]["curve"]) == 2 and len(first["curve"]) == 1
    assert (place / "runs" / "small" / "k1.old1" / "metrics.jsonl").read_text().count("\n") == 1


def test_a_source_that_is_lost_is_made_again_first(place, monkeypatch):
    assert run(monkeypatch, "small", "--only", "all") == 0
    (place / "runs" / "small" / "all" / "metrics.jsonl").unlink()
    (place / "runs" / "small" / "all" / "checkpoint.npz").unlink()
    (place / "runs" / "small" / "all" / "steps.txt").unlink()
    assert run(monkeypatch, "small", "--only", "turned-none") == 0
    assert set(stored(place)) == {"all", "turned-none"}


@pytest.mark.parametrize("table", rows.TABLES)
def test_every_row_is_a_run_and_no_two_share_a_folder(table):
    made = rows.rows_of(table, 3)
    assert len({row.folder for row in made}) == len(made) > 10
    assert len({json.dumps(rows.as_json(row.config)) for row in made}) >= len(made) - 8   # full BP beside not adapted
    for row in made:
        assert row.source is None or row.config.init_from == str(row.source.folder)


def test_the_tables_are_those_asked_for():
    full = {row.name for row in rows.rows_of("fashion-mnist-fp32", 1)}
    assert full == {"k0", "k1", "k2", "k3", "all", "k1-frozen", "k2-frozen", "k3-frozen"}
    adapted = rows.rows_of("fine-tuning", 3)
    assert len(adapted) == 2 * 2 * 2 * (1 + 6 * 3)
    assert {(row.config.rotate, row.config.limit) for row in adapted} == {(30, 1024), (45, 1024)}
    assert [(row.config.tail_passes, row.name.rsplit("-")[-1]) for row in rows.rows_of("tail-passes", 1)] == [
        ("second", "second"), ("both", "both")] * 4
    more = {row.name: row.config for row in rows.rows_of("longer", 3)}
    assert len(more) == 3 * (1 + 2 + 2) and all(c.precision == "int8" and c.data == "mnist" for c in more.values())
    assert more["k2-seed1"].epochs == more["k2-seed1-frozen"].epochs > make_config({"bp_tail": 2}).epochs
    assert all(row.config.loss == "float" and row.config.precision == "int8" for row in rows.rows_of("float-loss", 1))


def test_a_row_is_the_options_of_the_command_line():
    row = rows.Row("t", "r", dict(bp_tail=1, zo_frozen=True, p_zero=(192, 224)), rows.Row("t", "start", {}))
    assert accuracy.words_of(row) == ["--bp-tail", "1", "--zo-frozen", "--p-zero", "192,224", "--init-from",
                                      str(rows.RUNS / "t" / "start")]
    for table in rows.TABLES:
        for row in rows.rows_of(table, 1):
            parsed = vars(parse(["train", *accuracy.words_of(row)]))
            del parsed["command"]
            assert make_config(parsed) == row.config


# What is printed.

def fake(monkeypatch, tables_of_results):
    monkeypatch.setattr(cells, "results", lambda table: tables_of_results.get(table, {}))


def markdown(name):
    return tables.printed(name, cells.as_markdown)


def result(row, correct):
    config = {**rows.as_json(row.config), "dataset": {"training_samples": 60_000}}
    return {"config": config, "last_epoch": {"test_correct": correct, "test_images": 10_000},
            "right": {"all": {"correct": correct, "images": 10_000}, "first": {"correct": 512, "images": 1024}}}


def cell_of(*percents):
    return cells.Cell(dict(enumerate(percents)))


def test_a_difference_is_paired_by_seed_with_students_t():
    """By hand: differences 1, 2, 3 have mean 2 and deviation 1; t of 2 degrees is 4.30265, and 4.30265 / sqrt(3) 2.48.

    The rows themselves are 10 points apart from seed to seed: unpaired, the interval would be wider than 20.
    """
    one, other = cell_of(61, 72, 83), cell_of(60, 70, 80)
    assert str(one.difference(other)) == "~ +2.00 +- 2.48" and str(other.difference(one)) == "~ -2.00 +- 2.48"
    assert str(one) == "72.00 +- 27.33 (3 seeds)"                   # 4.30265 * 11 / sqrt(3)
    assert str(cell_of(61.5, 72, 83).difference(other)) == "+2.17 +- 1.90"    # deviation 0.7638; off zero
    assert str(other.difference(cell_of(61.5, 72, 83))) == "-2.17 +- 1.90"
    assert str(cell_of(80, 82).difference(cell_of(70, 71))) == "+10.50 (2 seeds)" and str(cell_of(1, 2)) == "1.50 (2 seeds)"
    assert not cell_of(1, 2, 3).difference(cell_of(1, 2, 3)).is_told()    # all alike: no difference


def test_one_seed_is_shown_as_one_and_seeds_without_a_partner_do_not_count():
    assert str(cell_of(85.21)) == "85.21 (one seed)"
    assert str(cell_of(85.21).difference(cell_of(80, 90))) == "+5.21 (one seed)"
    assert not cell_of(85.21).difference(cell_of(80, 90)).is_told()
    assert str(cells.Cell({1: 5}).difference(cells.Cell({0: 3}))) == "-" == str(cells.Cell({}))


def test_means_intervals_samples_and_what_has_not_run(monkeypatch):
    made = {row.name: row for row in rows.rows_of("mnist-fp32", 2)}
    counts = {"k0": 8000, "k0-seed1": 8100, "k1": 9000, "k1-seed1": 9400, "k1-frozen": 8500, "k2-seed1": 9700}
    found = {name: result(made[name], count) for name, count in counts.items()}
    fake(monkeypatch, {"mnist-fp32": found})
    text = markdown("1")
    text = text[text.index("MNIST, FP32"):text.index("### Table 1, full training: ModelNet10")]
    assert "| K = 0 | 40 | 32 | 75,000 | 2,400,000 | 80.50 (2 seeds) | - | - | - | - |" in text
    assert ("| K = 1 | 40 | 64 | 37,520 | 2,400,000 | 92.00 (2 seeds) | 85.00 (one seed) | +11.50 (2 seeds) | "
            "5.2 to 9.5 | +5.00 (one seed) |" in text)
    assert "| 97.00 (one seed) | - | +16.00 (one seed) | 5.2 to 9.5 | - |" in text
    assert "| full BP |" not in text and "K = 2 0.50 times" in text
    found["k2-seed1"]["config"]["epochs"] += 1
    assert "| 97.00 (one seed) * |" in markdown("1")


def test_rows_of_code_that_no_commit_has_are_marked_until_their_digest_is_repeated(monkeypatch):
    row = {"made_with": {"commit": "abc+"}, "weights_sha256": "7"}
    repeated = {"rows": {"a": {"agrees": False, "weights_sha256": "7"}}}
    monkeypatch.setattr(cells, "read_result", lambda name: repeated if name == "port_rows" else {})
    assert str(cells.Cell({0: 50}, rows={0: row})) == "50.00 (one seed) ^"
    assert "^" not in str(cells.Cell({0: 50}, rows={0: {**row, "made_with": {"commit": "abc"}}}))
    repeated["rows"]["b"] = {"agrees": True, "weights_sha256": "7"}
    assert "^" not in str(cells.Cell({0: 50}, rows={0: row}))


def test_fine_tuning_says_what_share_of_the_loss_is_recovered(monkeypatch):
    made = {row.name: row for row in rows.rows_of("fine-tuning", 2)}
    stem = "mnist-int8-45-"
    counts = {"none": 5000, "k0": 6000, "k2": 8000, "k2-seed1": 8600, "frozen": 7000}
    upright = next(row for row in rows.rows_of("mnist-int8", 1) if row.name == BP)
    fake(monkeypatch, {"fine-tuning": {stem + name: result(made[stem + name], count) for name, count in counts.items()},
                       "mnist-int8": {BP: result(upright, 9900)}})
    text = markdown("2")
    part = text[text.index("MNIST, INT8, rotated by 45 degrees (99.00 % before)"):]
    part = part[:part.index("###")]
    assert "50.00 (one seed) | 50.00 (one seed) | - | - | - | - | - |" in part
    assert ("| 83.00 (2 seeds) | 50.00 (2 seeds) | +33.00 (2 seeds) | +20.00 (one seed) | "
            "5.2 to 9.5 | +10.00 (one seed) | 67 % |" in part)                            # (83 - 50) / (99 - 50)
    assert "| K = 1 |" not in part


def test_the_other_tables(monkeypatch):
    exact = {row.name: result(row, 9100) for row in rows.rows_of("float-loss", 1)}
    passes = {row.name: result(row, 9300 if "both" in row.name else 9000) for row in rows.rows_of("tail-passes", 1)}
    integer = {row.name: result(row, 9000) for row in rows.rows_of("mnist-int8", 1)}
    fake(monkeypatch, {"float-loss": exact, "tail-passes": passes, "mnist-int8": integer})
    assert "| 90.00 (one seed) | 91.00 (one seed) | -1.00 (one seed) |" in markdown("1")
    sizes = json.loads((ROOT / "experiments/results/step_bytes.json").read_text())["rows"]
    assert (f"| 90.00 (one seed) | 93.00 (one seed) | +3.00 (one seed) | 0 | {sizes['int8-k1-both']['held']:,} |"
            in markdown("tail-passes"))


def test_memory_and_time_stand_beside_the_claims(tmp_path, monkeypatch):
    """Ratios by hand: 210 / 200 is 5 % more; FP32 400 over INT8 250 is 1.6; a step 1.25 times as long is 0.80."""
    memory = [{"precision": precision, "batch": 32, "bp_tail": k, "frozen": False, "measured": measured, "predicted": 9}
              for precision, k, measured in (("int8", 0, 200), ("int8", 1, 210), ("fp32", 0, 320), ("fp32", 1, 336))]
    parts = {"draws": 0.25, "matmul": 1.5}
    steps = [{"precision": precision, "batch": 32, "bp_tail": 0, "milliseconds": value, "parts": parts}
             for precision, value in (("int8", 5.0), ("fp32", 4.0))]
    stored = {"memory": {"rows": memory},
              "speed": {"threads": 2, "steps": steps, "ratios": {"int8_over_fp32_k0_b32": 1.25}}}
    monkeypatch.setattr(cost_tables, "read_result", lambda name: stored.get(name, {}))
    assert ("| 32 | K = 1 | 210 | 9 | +5.00 % | 336 | 9 | +5.00 % | 0.072 to 1.7 % | 1.60 | 1.46 to 1.60 |"
            in markdown("3"))
    assert "K = 2" not in markdown("3")
    assert "| 32 | K = 0 | 5.00 | 4.00 | 0.80 | 1.38 to 1.42 |" in markdown("4")
    assert "| 32 | int8 | K = 0 | 0.25 | 1.50 |" in markdown("4")


def test_a_run_of_clouds_with_other_settings_makes_room(tmp_path, monkeypatch):
    table = pointnet.Table("full", "synthetic-solids", None, 16)
    table.runs = tmp_path
    for epochs in (1, 2, 2):
        monkeypatch.setattr(pointnet, "QUICK_RUN", {"epochs": epochs, "limit": 20})
        assert len(table.run("fp32-k2")["curve"]) == epochs
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fp32-k2", "fp32-k2.old1"]


def test_rows_of_pointnet(monkeypatch):
    row = {"last_epoch": {"test_correct": 454, "test_images": 908}}
    found = cells.pointnet_cells({"rows": {"int8-k2": row, "int8-k0-frozen": row, "int8-k3": row, "int8-k3-seed2": row,
                                           "int8-k3-frozen-seed1": row, "int8-k3-seed2-frozen": row}}, "int8")
    assert [set(found(3, frozen).by_seed) for frozen in (False, True)] == [{0, 2}, {1, 2}]
    assert (str(found(2)), str(found(2, True)), str(found("all"))) == ("50.00 (one seed)", "-", "-")


def test_every_table_prints_before_anything_has_run(tmp_path, monkeypatch, capsys):
    fake(monkeypatch, {})
    monkeypatch.setattr(tables, "read_result", lambda name: {})
    monkeypatch.setattr(accuracy, "read_result", lambda name: {})
    monkeypatch.setattr(cells, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["tables", "1", "2", "--markdown"])
    tables.main()
    assert not re.search(r"\d\.\d\d %|^\|", capsys.readouterr().out, re.M)   # no table, nothing measured
    monkeypatch.setattr("sys.argv", ["tables", "missing"])
    tables.main()
    assert "python -m experiments.accuracy mnist-int8" in capsys.readouterr().out


def test_columns_of_text_stand_below_each_other():
    table = cells.Table("Title", ["a", "bcd"], [["long one", 1], ["x", 22]], "A note.")
    assert cells.as_text(table).splitlines() == [
        "Title", "", "a         bcd", "--------  ---", "long one  1", "x         22", "", "A note."]


def test_quick_rows_are_few_images_and_never_the_committed_results(tmp_path):
    code = ("from experiments import common, rows; row = rows.rows_of('fine-tuning')[1]; print(row.config.limit, "
            "row.config.epochs, row.source.config.limit, row.folder.parts[1], rows.seeds_of('mnist-int8'), "
            "common.RESULTS == common.COMMITTED)")
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "ZO_NUMPY_QUICK": "1"}, text=True,
                         capture_output=True)
    assert run.stdout.split() == ["1000", "2", "1000", "quick", "1", "False"], run.stderr


def test_quick_results_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    assert "quick" not in json.loads(common.save_result("one", {"rows": {}}).read_text())
    monkeypatch.setattr(common, "QUICK", True)
    made = json.loads(common.save_result("one", {"rows": {}}).read_text())
    assert made["quick"] is True and {"python", "numpy", "processor", "commit"} <= made["made_with"].keys()


# Results as text

def test_the_numbers_of_a_curve_are_one_line():
    row = {"config": {"epochs": 300, "schedules": {"r_max": (15,) * 40}}, "curve": tuple(np.arange(300) / 7),
           "correct": 3, "right": {"all": {"images": 4}}}
    lines = common.as_text({"experiment": "accuracy", "rows": {"k1": row, 2: row}, "runs": [row] * 3}).split("\n")
    of_row = ['"config":', '"curve":', '"correct":', '"right":']
    assert [line.lstrip().split(" ")[0] for line in lines] == [
        "{", '"experiment":', '"rows":', '"k1":', *of_row, "},", '"2":', *of_row, "}", "},",
        '"runs":', *3 * ['{"config":'], "]", "}"]


def test_a_result_as_text_is_the_same_result():
    draw = random.Random(3)

    def drawn(depth):
        kind = draw.randrange(8 if depth < 6 else 6)
        if kind < 6:
            return [None, True, draw.random() * 10 ** draw.randrange(-300, 300), draw.getrandbits(80), 'a "b"\n\u00e9',
                    -0.0][kind]
        items = [drawn(depth + 1) for _ in range(draw.randrange(7))]
        return items if kind == 6 else {f"{i} {'x' * draw.randrange(30)}": item for i, item in enumerate(items)}

    for _ in range(500):
        value = {"first": drawn(0), "second": drawn(0)}
        assert json.dumps(json.loads(common.as_text(value))) == json.dumps(value)
    assert json.loads(common.as_text({1: (2, 3)})) == {"1": [2, 3]}


def test_every_committed_result_is_written_by_that_function():
    paths = sorted(common.COMMITTED.glob("*.json"))
    assert len(paths) > 20
    for path in paths:
        text = path.read_text()
        assert text == common.as_text(json.loads(text)) + "\n", f"{path}: write it with experiments.common.as_text"


def test_the_estimate_counts_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(run_all, "missing_measurements", lambda: ["speed"])
    row = Row("small", "k1", dict(SMALL, bp_tail=1))
    monkeypatch.setattr(run_all, "missing_rows", lambda: [row] * 4)
    monkeypatch.setattr(run_all, "microseconds", lambda: {})
    run_all.estimate({}, jobs=2)
    out = capsys.readouterr().out
    assert "1 measurements, about 3 minutes" in out and "4 rows of LeNet-5, about" in out
    assert "PointNet is left out" in out and "rows at a time" in out
    assert set(run_all.POINTNET_SECONDS) == set(pointnet_rows.TABLES) - {"tuning"}
    seconds = run_all.seconds_of(row, {("int8", 1): 1000})
    assert seconds == run_all.STARTING + 1 * 1e-3 * (200 + 0.4 * 10_000)


def test_commands_of_clouds_are_the_rows_that_are_planned_and_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(run_all, "TABLES", {})
    monkeypatch.setattr(batch_rows, "all_rows", lambda: [])
    monkeypatch.setattr(pointnet, "read_result", lambda name: {"rows": {"fp32-k2": {}}})
    made = [words for words in run_all.commands({"modelnet40": tmp_path})]
    assert {words[0] for words in made} == {"pointnet"} and all(str(tmp_path) in words for words in made)
    few, many = ([words[-1] for words in made if points in words and "full" in words]
                 for points in ("1024", "256"))
    assert few == ["fp32-k2-frozen", "fp32-kall"]
    assert len(many) == 2 * (8 + 2 * 4) - 1 and "int8-kall-seed2" in many and "int8-k1-frozen" in many
    assert "int8-k1-seed1" not in many and "fp32-k2" not in many
    table = pointnet.Table("full", "modelnet40", None, 256)
    assert many == table.missing() and len(pointnet.Table("full", "modelnet40", None, 256, seeds=3).rows) == 48


def test_what_fails_does_not_keep_the_others_from_running(monkeypatch, capsys):
    called = []
    monkeypatch.setattr(run_all, "run", lambda *words: called.append(words[0]) or words[0] == "speed")
    monkeypatch.setattr(run_all, "missing_measurements", lambda: ["speed", "memory"])
    assert run_all.make({}, 2) == ["speed"] and called == ["speed", "memory", "accuracy", "figures"]


def test_figures_are_drawn_from_the_results_alone(tmp_path, monkeypatch):
    assert run_curves.draw(tmp_path / "run.png") == ("losses" in accuracy.results("mnist-int8").get("k2", {}))
    for name, draw in figures.figures().items():
        path = tmp_path / f"{name}.png"
        assert draw(path) == path.exists()
        assert not path.exists() or path.read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "memory.png").exists() and (tmp_path / "zo_parameters.png").exists()


def test_curves_are_drawn_of_what_has_run(tmp_path, monkeypatch):
    made = {row.name: row for row in rows.rows_of("mnist-int8", 2)}
    found = {name: {**result(made[name], 9000), "curve": [80.0, 85.0, 90.0]}
             for name in ("k1", "k1-seed1", "k1-frozen")}
    monkeypatch.setattr(curves, "results", lambda table: found if table == "mnist-int8" else {})
    assert curves.curves_of("mnist-int8", 1, False).shape == (2, 3)
    assert curves.draw("mnist", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert not curves.draw("fashion-mnist", tmp_path / "none.png") and not (tmp_path / "none.png").exists()


def test_a_step_of_zo_agrees_with_the_gradient_and_one_with_the_other_sign_does_not(monkeypatch):
    for name, value in {"BATCHES": 2, "DRAWS": 12, "LARGE": 32, "LIMIT": 64}.items():
        monkeypatch.setattr(gradient_agreement, name, value)
    for precision, module, lengths in (("fp32", fp32, dict(eps=1e-3)), ("int8", int8, dict(r_max=3, p_zero=0))):
        config = make_config(dict(model="narrow-lenet", data="mnist-subset", precision=precision, bp_tail=3, limit=64,
                                  **({"headroom": (1,) * 5} if precision == "int8" else {})))   # far from clipping
        model, data = models.of_run(config), parts(config, datasets.load("mnist-subset"))[0]
        weights, zo_gradient = PRECISIONS[precision].initialise(config), module.zo_gradient
        row = gradient_agreement.measured(config, model, weights, data, lengths)
        assert row["cosine_batch"] > 5 * row["cosine_batch_error"] and 0.5 < row["cosine_batch"] / row["theory"] < 2
        with monkeypatch.context() as other:
            other.setattr(module, "zo_gradient", lambda *given: -zo_gradient(*given))
            turned = gradient_agreement.measured(config, model, weights, data, lengths)
        assert turned["cosine_batch"] < -5 * row["cosine_batch_error"]
