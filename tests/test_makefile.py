"""The Makefile, with Pythons that are shell scripts: no environment is built, nothing is downloaded."""
import os
import re
import shutil
import subprocess

import pytest

from small_runs import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make here")

# A Python that is whatever its variables say. It notes its calls in calls.txt.
FAKE_PYTHON = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
    *version_info*) exit ${OLD:-0};;
    *"import venv"*) exit ${NO_VENV:-0};;
    "-c import numpy"*) exit ${NO_PACKAGES:-0};;
    "-c import sysconfig"*) mkdir -p .venv/packages; echo .venv/packages;;
    "-c import sys; print"*) echo /of/this/python/site-packages;;
    "-m venv"*)
        [ -n "$BREAK_VENV" ] && { mkdir -p .venv; exit 1; }
        case "$*" in *--clear*) rm -rf .venv;; esac
        mkdir -p .venv/bin
        cp "$0" .venv/bin/python
        case "$*" in *--without-pip*) ;; *) printf '#!/bin/sh\\nexec "%s" pip "$@"\\n' "$0" > .venv/bin/pip
                                         chmod +x .venv/bin/pip;; esac;;
    pip*) echo "pip says why" >&2; exit ${NO_NETWORK:-0};;
    "-m pip"*) echo "pip says why" >&2; exit ${NO_NETWORK:-0};;
    *) echo "ran: $*"; exit ${STATUS:-0};;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """A folder with a space in its name that holds what the Makefile needs, and a fake Python beside it."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (tmp_path / "python").write_text(FAKE_PYTHON)
    (tmp_path / "python").chmod(0o755)
    return folder


def make(clone, *arguments, **variables):
    """Runs make with the fake Python.  Returns a CompletedProcess with `calls`, what each was called with."""
    calls = clone.parent / "calls.txt"
    calls.write_text("")
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "EPOCHS", "BATCH", "SEED", "BP_TAIL", "PYTHON")}
    result = subprocess.run(["make", f"PYTHON={clone.parent / 'python'}", *arguments], cwd=clone, text=True,
                            capture_output=True, timeout=60,
                            env={**environment, "CALLS": str(calls), **variables})
    result.calls = calls.read_text().splitlines()
    return result


def one_error(result):
    """The text of the one line that a failed make says, apart from make's own."""
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if not re.match(r"make(\[\d+\])?: \*\*\*", line)]
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    return lines[0]


def test_make_lists_what_there_is(clone):
    result = make(clone)
    assert result.returncode == 0 and not result.calls
    for target in ("mnist-int8", "mnist-fp32", "fashion-int8", "fashion-fp32", "finetune-int8", "finetune-fp32",
                   "results", "results-quick", "figures", "data", "test", "clean"):
        assert re.search(rf"^make {target}  +\S", result.stdout, re.MULTILINE)
    for default in ("SEED=0", "BP_TAIL=2", "DATA=mnist", "ROTATE=45"):
        assert default in result.stdout
    assert sorted(os.listdir(clone)) == ["Makefile", "pyproject.toml", "setup.cfg"]


def test_every_target_that_is_listed_exists_and_needs_no_file_of_its_name(clone):
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r'echo "make ([a-z0-9-]+) ', text)
    phony = " ".join(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)).split()
    assert targets and set(targets) <= set(phony)
    assert not {name for name in phony if not re.search(rf"^{name}:", text, re.MULTILINE)}


def test_variables_reach_the_command(clone):
    result = make(clone, "mnist-int8", "EPOCHS=3", "SEED=5", "BP_TAIL=1", "BATCH=8")
    assert result.returncode == 0, result.stderr
    assert result.calls[-1] == ("-m zo_numpy train --model lenet5 --seed 5 --resume --data mnist --precision int8 "
                                "--bp-tail 1 --epochs 3 --batch-size 8")


def test_results_figures_and_their_quick_form(clone):
    (clone.parent / "python").write_text(FAKE_PYTHON.replace('echo "$*"', 'echo "$* ${ZO_NUMPY_QUICK:-}"', 1))
    assert make(clone, "results").calls[-1].strip() == "-m experiments.run"
    assert make(clone, "results", "MODELNET=my models").calls[-1].strip() == "-m experiments.run --modelnet my models"
    assert make(clone, "figures").calls[-1].strip() == "-m experiments.figures"
    assert make(clone, "results-quick").calls[-1] == "-m experiments.run 1"


@pytest.mark.parametrize("target, data, precision", [
    ("mnist-int8", "mnist", "int8"), ("mnist-fp32", "mnist", "fp32"), ("fashion-int8", "fashion-mnist", "int8"),
    ("fashion-fp32", "fashion-mnist", "fp32")])
def test_without_epochs_the_tuned_ones_are_left_to_the_program(clone, target, data, precision):
    assert make(clone, target).calls[-1].strip() == (
        f"-m zo_numpy train --model lenet5 --seed 0 --resume --data {data} --precision {precision} --bp-tail 2")


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_fine_tuning_trains_upright_shows_before_and_adapts(clone, precision):
    result = make(clone, f"finetune-{precision}", "ROTATE=30", "EPOCHS=7")
    assert result.returncode == 0, result.stderr
    upright = f"runs/mnist-{precision}-upright-s0"
    common = f"-m zo_numpy train --model lenet5 --seed 0 --resume --data mnist --precision {precision}"
    assert result.calls[-3:] == [
        f"{common} --bp-tail all --out {upright}", f"-m zo_numpy evaluate {upright} --rotate 30",
        f"{common} --bp-tail 2 --epochs 7 --rotate 30 --limit 1024 --init-from {upright}"]
    assert result.stdout.index("2. before") < result.stdout.index("3. after")
    failed = make(clone, f"finetune-{precision}", STATUS="2")
    assert failed.returncode == 2 and len([call for call in failed.calls if "zo_numpy" in call]) == 1


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_pointnet_trains_on_the_clouds_that_are_chosen(clone, precision):
    """The fake Python answers `ran: ...`, which stands where the options of the chosen data set would."""
    result = make(clone, f"pointnet-{precision}", "MODELNET=/a copy", "POINTS=64", "EPOCHS=3", "SEED=5", "BP_TAIL=1")
    assert result.returncode == 0, result.stderr
    assert result.calls[-2:] == ["-m datasets.at_hand /a copy",
                                 "-m zo_numpy train --model pointnet ran: -m datasets.at_hand /a copy --points 64 "
                                 f"--bp-tail 1 --epochs 3 --seed 5 --resume --precision {precision}"]


def test_the_environment_is_made_once(clone):
    for target, command in (("test", "-m pytest"), ("data", "-m datasets.download mnist fashion-mnist")):
        result = make(clone, target)
        assert result.returncode == 0, result.stderr
        assert result.calls[-1] == command
        assert sum(call.startswith("-m venv") for call in result.calls) == (target == "test")


@pytest.mark.parametrize("status", [1, 2, 130])
def test_a_failed_command_fails_make(clone, status):
    assert make(clone, "test", STATUS=str(status)).returncode == 2   # make's own way to say so


def test_a_python_that_does_not_exist(clone):
    result = make(clone, "test", "PYTHON=/no/such/python")
    assert "/no/such/python" in one_error(result) and "3.10" in one_error(result)
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("lacks, named", [({"OLD": "1"}, "3.10"), ({"NO_VENV": "1"}, "python3-venv"),
                                          ({"BREAK_VENV": "1"}, "environment"),
                                          ({"NO_NETWORK": "1", "NO_PACKAGES": "1"}, "pip.log")])
@pytest.mark.parametrize("target", ["mnist-int8", "test", "data"])
def test_what_is_lacking_is_said_in_one_line_and_the_next_make_works(clone, target, lacks, named):
    failed = make(clone, target, **lacks)
    assert named in one_error(failed)
    assert not (clone / ".venv" / "ready").exists()
    if "NO_NETWORK" in lacks:
        assert "pip says why" in (clone / ".venv" / "pip.log").read_text()
    mended = make(clone, target)
    assert mended.returncode == 0, mended.stderr
    assert (clone / ".venv" / "ready").exists()


def test_without_a_network_a_python_lends_its_packages(clone):
    result = make(clone, "test", NO_NETWORK="1")
    assert result.returncode == 0, result.stderr
    assert "using the packages" in result.stdout
    assert (clone / ".venv" / "packages" / "lent.pth").read_text() == "/of/this/python/site-packages\n"
    assert result.calls[-1] == "-m pytest"


def test_remains_of_an_environment_are_replaced(clone):
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to("/no/longer/there")
    result = make(clone, "test")
    assert result.returncode == 0, result.stderr
    assert result.calls[-1] == "-m pytest"


def test_clean_leaves_runs_and_data(clone):
    for folder in (".venv", "runs/mine", "datasets/cache/mnist", "zo_numpy/__pycache__", "zo_numpy.egg-info",
                   "build"):
        (clone / folder).mkdir(parents=True)
    assert make(clone, "clean").returncode == 0
    assert set(os.listdir(clone)) == {"Makefile", "datasets", "pyproject.toml", "runs", "setup.cfg",
                                      "zo_numpy"}
    assert (clone / "runs" / "mine").exists() and (clone / "datasets" / "cache" / "mnist").exists()
    assert not (clone / "zo_numpy" / "__pycache__").exists()


def test_continuous_integration_is_what_a_user_types(clone):
    (clone / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", clone / ".ci")
    calls = clone.parent / "calls.txt"
    calls.write_text("")
    for status in (0, 1):
        variables = {"CALLS": str(calls), "PYTHON": str(clone.parent / "python"), "STATUS": str(status)}
        result = subprocess.run([clone / ".ci" / "run"], cwd="/", env={**os.environ, **variables}, text=True,
                                capture_output=True, timeout=60)
        assert (result.returncode == 0) == (status == 0), result.stderr
        assert calls.read_text().splitlines()[-1] == "-m pytest"
