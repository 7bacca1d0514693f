"""The Makefile, with Pythons that are shell scripts: no environment is built, nothing is downloaded."""
import os
import re
import shutil
import subprocess
import time

import pytest

from small_runs import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make here")

FILES = ("Makefile", "environment.sh", "pyproject.toml", "setup.cfg", "setup.py")

# A Python that is whatever its variables say. It notes its calls in calls.txt.
FAKE_PYTHON = """#!/bin/sh
echo "$*" >> "$CALLS"
echo "$PYTHONPATH $PYTHONHOME $PIP_TARGET $PIP_USER $PIP_REQUIRE_VIRTUALENV $PYTHONNOUSERSITE" >> "$CALLS.variables"
case "$*" in
    *version_info*) exit ${OLD:-0};;
    *"import venv"*) exit ${NO_VENV:-0};;
    *"import numpy, scipy"*) exit ${NO_PACKAGES:-0};;
    "-c import sys") exit ${DEAD:-0};;
    *base_prefix*) cat "$0.version";;
    "-c import sysconfig"*) mkdir -p .venv/packages; echo .venv/packages;;
    "-c import sys; print"*) echo /of/this/python/site-packages;;
    "-m venv"*)
        [ -n "$BREAK_VENV" ] && { mkdir -p .venv; exit 1; }
        rm -rf .venv
        mkdir -p .venv/bin
        cp "$0" .venv/bin/python
        cp "$0.version" .venv/bin/python.version;;
    "-m pip"*) echo "pip says why" >&2; [ -z "$SILENCE" ] || exec sleep $SILENCE; exit ${NO_NETWORK:-0};;
    *) echo "ran: $*"; exit ${STATUS:-0};;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """A folder with a space in its name that holds what the Makefile needs, and a fake Python beside it."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    (tmp_path / "python").write_text(FAKE_PYTHON)
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "python.version").write_text("3.11")
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
    result = make(clone, "help")
    assert result.returncode == 0 and not result.calls
    for target in ("mnist-int8", "mnist-fp32", "fashion-int8", "fashion-fp32", "finetune-int8", "finetune-fp32",
                   "results", "results-quick", "figures", "data", "test", "clean"):
        assert re.search(rf"^make {target}  +\S", result.stdout, re.MULTILINE)
    for default in ("SEED=0", "BP_TAIL=2", "DATA=mnist", "ROTATE=45"):
        assert default in result.stdout
    assert sorted(os.listdir(clone)) == sorted(FILES)


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
    for target, command in (("test", "-m tests"), ("data", "-m datasets.download mnist fashion-mnist")):
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
    assert (clone / ".venv" / "packages" / "found_by_make.pth").read_text() == (
        f"{clone}\n/of/this/python/site-packages\n")
    assert result.calls[-1] == "-m tests"


def test_remains_of_an_environment_are_replaced(clone):
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to("/no/longer/there")
    result = make(clone, "test")
    assert result.returncode == 0, result.stderr
    assert result.calls[-1] == "-m tests"


def made(result):
    """Whether an environment was made."""
    assert result.returncode == 0, result.stderr
    return any(call.startswith("-m venv") for call in result.calls)


def test_make_alone_makes_the_environment_and_says_how_to_call_the_program(clone):
    result = make(clone)
    assert made(result) and not any("zo_numpy" in call for call in result.calls)
    assert "ready; in any shell: .venv/bin/python -m zo_numpy --help" in result.stdout.splitlines()[-1]
    assert not made(again := make(clone)) and len(again.stdout.splitlines()) == 1


def test_long_targets_say_how_long_they_take(clone):
    for target in ("first", "mnist-int8", "fashion-fp32", "finetune-int8", "pointnet-fp32", "results-quick", "test",
                   "golden-check", "golden-update", "port", "fuzz", "faults", "matrix", "mutants", "installed",
                   "first-hour"):
        assert re.search("^this takes about .*(minute|hour)", make(clone, target).stdout, re.MULTILINE), target


def test_the_users_variables_stay_out_of_the_environment(clone):
    """Whatever they are: where pip puts packages, and where a Python looks for them."""
    variables = {"PYTHONPATH": "/other/versions", "PYTHONHOME": "/other/home", "PIP_TARGET": "/elsewhere",
                 "PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1"}
    assert made(make(clone, "test", **variables))
    seen = set((clone.parent / "calls.txt.variables").read_text().splitlines())
    assert seen == {"   0 0 1",              # while the environment is made
                    "  /elsewhere 1 1 1"}    # of the program, which needs no pip


def test_an_environment_whose_python_is_gone_is_made_anew(clone):
    assert made(make(clone, "test"))
    (clone / ".venv" / "bin" / "python").unlink()
    result = make(clone, "test")
    assert made(result) and "no Python that works" in result.stdout
    assert not made(make(clone, "test"))


def test_another_python_that_is_asked_for_replaces_the_environment(clone):
    assert made(make(clone, "test"))
    (clone.parent / "python.version").write_text("3.12")
    result = make(clone, "test")
    assert made(result) and "of another Python" in result.stdout and not made(make(clone, "test"))


def test_an_environment_that_make_has_not_made_stays(clone):
    assert made(make(clone, "test"))
    for name in ("ready", "by-make"):
        (clone / ".venv" / name).unlink()
    (clone / ".venv" / "mine").write_text("")
    assert "VENV=" in one_error(make(clone, "test")) and (clone / ".venv" / "mine").exists()


def test_an_environment_behind_a_link_is_not_emptied(clone):
    """As several clones may share one: it works for them all, and is made anew by its own alone."""
    assert made(make(clone, "test"))
    shared = clone.parent / "shared"
    (clone / ".venv").rename(shared)
    (clone / ".venv").symlink_to(shared)
    assert not made(make(clone, "test"))
    (clone / "setup.cfg").touch()
    os.utime(clone / "setup.cfg", (2**32, 2**32))
    assert "is a link" in one_error(make(clone, "test")) and (shared / "ready").exists()
    assert make(clone, "clean").returncode == 0 and (shared / "ready").exists() and not (clone / ".venv").exists()


def test_a_silent_network_is_noticed(clone):
    script = (clone / "environment.sh").read_text()
    seconds = int(re.search(r"^SECONDS_OF_SILENCE=(\d+)", script, re.MULTILINE)[1])
    assert seconds < 20
    (clone / "environment.sh").write_text(script.replace(f"SECONDS_OF_SILENCE={seconds}", "SECONDS_OF_SILENCE=1"))
    started = time.monotonic()
    result = make(clone, "test", SILENCE="40")
    assert time.monotonic() - started < 20 and "using the packages" in result.stdout and result.returncode == 0


def test_clean_leaves_runs_and_data(clone):
    for folder in (".venv", "runs/mine", "datasets/cache/mnist", "zo_numpy/__pycache__", "zo_numpy.egg-info",
                   "build"):
        (clone / folder).mkdir(parents=True)
    assert make(clone, "clean").returncode == 0
    assert set(os.listdir(clone)) == {*FILES, "datasets", "runs", "zo_numpy"}
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
        assert calls.read_text().splitlines()[-1] == ("-m tests" if status else "-m tests.trust.installed")
