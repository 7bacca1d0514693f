"""What stands beside the package in a clone is found by its place: strangers of the same names do no harm, and a
package without a clone works but for what needs one, which is said in one line."""
import json
import shutil

import pytest

from small_runs import ROOT, one_line, python, refused, train_options, write_digits
from zo_numpy.__main__ import main
from zo_numpy.app import beside
from zo_numpy.measure import bench, kernels, peak


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits"))


def strangers(folder):
    """Packages that nobody may import."""
    for name in ("datasets", "experiments"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise SystemExit('a stranger was imported')\n")
    return folder


def test_strangers_first_on_the_path_do_no_harm(tmp_path, digits):
    """Full BP, its loss and its data all come from beside the package."""
    path = f"{strangers(tmp_path / 'path')}:{ROOT}"
    options = train_options(digits, tmp_path / "run", "--bp-tail", "all", "--loss", "float", epochs=1)
    result = python("-m", "zo_numpy", *options, env={"PYTHONPATH": path}, cwd=tmp_path)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    result = python("-m", "zo_numpy", "memory", "--bp-tail", "all", env={"PYTHONPATH": path}, cwd=tmp_path / "path")
    assert result.returncode == 0 and result.stderr == "", result.stderr


def test_a_stranger_that_is_imported_already_is_named(tmp_path, digits):
    stranger = tmp_path / "datasets" / "__init__.py"
    stranger.parent.mkdir()
    stranger.write_text("")
    result = python("-c", "import sys, datasets; from zo_numpy.__main__ import main; sys.exit(main(sys.argv[1:]))",
                    *train_options(digits, tmp_path / "run"), env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, cwd=tmp_path)
    assert result.returncode == 2 and str(stranger) in one_line(result.stderr)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A call of the package as it is without a clone, with strangers beside it."""
    site = strangers(tmp_path_factory.mktemp("site"))
    shutil.copytree(ROOT / "zo_numpy", site / "zo_numpy", ignore=shutil.ignore_patterns("__pycache__"))
    return lambda *words: python("-m", "zo_numpy", *words, env={"PYTHONPATH": str(site)}, cwd=site)


@pytest.mark.parametrize("words, needed", [
    (("train",), "datasets/"), (("train", "--bp-tail", "all"), "experiments/"),
    (("train", "--loss", "float"), "experiments/"), (("memory", "--bp-tail", "all"), "experiments/"),
    (("golden", "check"), "tests/golden"), (("golden", "update"), "tests"),
    (("golden", "export", "trace", "--data", "mnist-subset"), "datasets/")])
def test_a_command_that_needs_the_clone_says_so(installed, words, needed):
    result = installed(*words)
    assert result.returncode == 2 and needed in (said := one_line(result.stderr)) and "clone" in said


@pytest.mark.parametrize("words", [("--help",), ("tour",),
                                   ("golden", "diff", *[str(ROOT / "tests/golden/traces/narrow-lenet-int8-k1")] * 2)])
def test_a_command_that_needs_no_clone_works(installed, words):
    result = installed(*words)
    assert result.returncode == 0 and result.stderr == "" and result.stdout, result.stderr


def test_the_benchmark_leaves_full_bp_out(monkeypatch, capsys):
    monkeypatch.setattr(beside, "IS_CLONE", False)
    monkeypatch.setattr(kernels, "MATMULS", {"lenet5": ((10, 84, 40),)})
    monkeypatch.setattr(bench, "FIT_BATCHES", (1, 2, 64))
    monkeypatch.setattr(bench, "CLOUDS", {"model": "narrow-pointnet", "data": "modelnet40", "points": 16})
    monkeypatch.setattr(peak, "measure", lambda *given: 1)
    assert main(["bench", "--json", "--rounds", "1", "--batch-size", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("left out: --bp-tail all needs experiments/") and printed.err.count("\n") == 1
    result = json.loads(printed.out)
    assert {step["bp_tail"] for step in result["steps"] + result["pointnet_steps"]} == {0, 1, 2, 3}
    assert not any("full_bp" in name for name in result["ratios"])


def test_nothing_is_made_where_the_method_is_missing(tmp_path, digits, capsys, monkeypatch):
    monkeypatch.setattr(beside, "IS_CLONE", False)
    refused(capsys, *train_options(digits, tmp_path / "a" / "run", "--bp-tail", "all"))
    assert not (tmp_path / "a").exists()
