"""The README: its numbers are those of committed results, its table of lines that of the files."""
import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
ROWS = json.loads((ROOT / "experiments/results/accuracy_mnist_int8.json").read_text())["rows"]


def test_line_counts():
    listed = re.findall(r"^\| `([\w/]+\.py)` \| (\d+) \|", README, re.M)
    assert len(listed) >= 8
    for name, lines in listed:
        assert int(lines) == len((ROOT / "zo_numpy" / name).read_text().splitlines()), name


def test_results_are_those_of_the_committed_runs():
    """| K = 2 | 96.54 | 95.90 | is k2 and its frozen control; a control that does not exist is a dash."""
    listed = re.findall(r"^\| K = (\d)[^|]*\|[^|]*\| ([\d.]+) \| ([\d.]+|-) \|", README, re.M)
    assert [k for k, *_ in listed] == ["0", "1", "2", "3"]
    for k, accuracy, frozen in listed:
        assert float(accuracy) == ROWS[f"k{k}"]["last_epoch"]["test_accuracy"]
        assert frozen == "-" if k == "0" else float(frozen) == ROWS[f"k{k}-frozen"]["last_epoch"]["test_accuracy"]


def test_results_are_of_the_whole_test_set_and_the_last_epoch():
    for row in ROWS.values():
        assert row["last_epoch"]["test_images"] == 10_000 and row["config"]["dataset"]["complete"]
        assert row["last_epoch"]["epoch"] == row["config"]["epochs"]
        assert row["config"]["validate"] == 0


def test_the_digest_shown_is_the_run_shown():
    shown = re.search(r"weights\s+sha256\s+([0-9a-f]{64})", README)[1]
    assert shown == ROWS["k2"]["weights_sha256"]


@pytest.mark.parametrize("target", re.findall(r"\bmake ([a-z][a-z0-9-]+)", README))
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_files_and_functions_named_exist():
    for path in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (ROOT / path).exists(), path
    for module, function in re.findall(r"`(models|rng|elastic_zo|arith|layers|tail|loss)\.(?!py`)(\w+)`", README):
        places = [ROOT / "zo_numpy" / f"{module}.py", ROOT / "zo_numpy/int8" / f"{module}.py"]
        source = next(place for place in places if place.exists()).read_text()
        assert re.search(rf"^def {function}\(", source, re.M), f"{module}.{function}"


def test_agreements_of_the_loss_are_those_measured():
    runs = json.loads((ROOT / "experiments/results/loss_sign.json").read_text())["runs"]
    for run in runs:
        assert f"{run['integer_agrees']:,}" in README and f"{run['coarse_agrees']:,}" in README
        assert run["integer_agrees"] >= 0.995 * run["steps"]
