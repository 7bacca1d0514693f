"""golden check: a bug in the library, a byte that differs and data that are missing are each named; golden update makes
the same bytes."""
import json
import pathlib
import shutil

import pytest

import datasets
from small_runs import golden_said, refused, snapshot
from zo_numpy.__main__ import main
from zo_numpy.app import vectors as commands
from zo_numpy.golden import committed, update
from zo_numpy.int8 import arith, precision, tail, tiled

GOLDEN = pathlib.Path(__file__).parent / "golden"
TRACE, RUN, MNIST_RUN = "narrow-lenet-int8-k1", "subset-int8-k1-coarse", "mnist-int8-k0"


def test_everything_committed_is_known_and_small():
    for part, names in (("traces", committed.TRACES), ("runs", committed.RUNS)):
        assert sorted(path.name for path in (GOLDEN / part).iterdir()) == sorted(names)
    # 9.00 MB, and 0.77 that text/ needs beyond what was left of them: it is 0.87, to be read without Python.
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) <= 9_770_000


def test_settings_leave_nothing_to_the_defaults(monkeypatch):
    configs = [committed.run_config(name, datasets.load("mnist-subset")) for name in committed.RUNS]
    monkeypatch.setattr("zo_numpy.run.config.defaults", lambda *given: {})
    assert [committed.run_config(name, datasets.load("mnist-subset")) for name in committed.RUNS] == configs
    for options in committed.TRACES.values():
        committed.config_of(options)


def test_a_configuration_names_no_place_of_this_machine():
    mnist = datasets.load("mnist-subset")._replace(name="mnist", complete=True, source="/home/me/mnist")
    assert json.loads(committed.run_config(MNIST_RUN, mnist))["dataset"]["source"] == "the four official files"


def take_for_all(monkeypatch, folder):
    """`golden check` takes what is in the folder for all: one trace and a run cut to be short."""
    short = dict(data="mnist-subset", bp_tail=1, epochs=1, limit=100, validate=50, batch_size=32, model="narrow-lenet")
    monkeypatch.setattr(commands, "GOLDEN", folder)
    monkeypatch.setattr(committed, "TRACES", {TRACE: committed.TRACES[TRACE]})
    monkeypatch.setattr(committed, "RUNS", {"short": short})
    monkeypatch.setattr(committed, "DATA", {})
    monkeypatch.setattr(committed, "TEXT_TRACES", (TRACE,))


@pytest.fixture(scope="module")
def updated(tmp_path_factory):
    """A folder with some of what is committed, as `golden update` writes it."""
    folder = tmp_path_factory.mktemp("vectors") / "golden"
    for part in ("ops", f"traces/{TRACE}"):
        shutil.copytree(GOLDEN / part, folder / part)
    with pytest.MonkeyPatch.context() as monkeypatch:
        take_for_all(monkeypatch, folder)
        assert main(["golden", "update"]) == 0
    return folder


@pytest.fixture
def golden(updated, tmp_path, monkeypatch):
    """A copy of it, which `golden check` takes for all."""
    folder = shutil.copytree(updated, tmp_path / "golden")
    take_for_all(monkeypatch, folder)
    return folder


def checked(capsys):
    return golden_said(capsys, "check")


def test_update_makes_the_committed_bytes_and_check_finds_them_equal(golden, capsys):
    for part in ("ops", f"traces/{TRACE}"):
        assert snapshot(golden / part) == snapshot(GOLDEN / part)
    assert snapshot(golden / "text" / "ops") == snapshot(GOLDEN / "text" / "ops")
    assert sorted(path.name for path in (golden / "runs" / "short").iterdir()) == [
        "config.json", "evaluation.txt", "steps.txt"]
    assert len((golden / "runs" / "short" / "steps.txt").read_text().splitlines()) == 4       # 100 = 3 * 32 + 4
    assert (golden / "runs" / "short" / "evaluation.txt").read_text().endswith(" 50\n")
    assert [path.name for path in golden.parent.iterdir()] == ["golden"]
    status, lines = checked(capsys)
    assert status == 0 and lines[1].startswith(f"trace {TRACE}: equal, ")
    assert lines[2] == "run short: equal, 5 lines" and lines[-1].endswith(" comparisons, no differences")


BUGS = {   # module, name, a function of the right one; a part of each line that is to be seen
    "rounding": (arith, "round_shift", lambda right: lambda values, shift: values >> shift,
                 ("round_shift.json, case", "step 0, phase plus, op requantise, tensor conv1: index (0, ")),
    "update": (precision, "clip_for_zo", lambda right: lambda *given: None,
               ("step 0, phase init, op weights, tensor fc1: index (0, ",)),
    "tail": (tail, "gradient_step", lambda right: lambda gradient, b_bp: -right(gradient, b_bp),
             ("gradient_step.json, case 1: step[0] is to be 1, got -1",
              "step 0, phase minus, op gradient_step, tensor fc3: index")),
    "tail in a step": (tiled, "softmax_error", lambda right: lambda logits, labels: right(logits, 0 * labels),
                       ("train_step.json, case", "steps.txt, line 2: expected '1 ")),
    "evaluation": (precision, "classify", lambda right: lambda *given: 9 - right(*given),
                   ("evaluation.txt, line 1: expected '0 ",)),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_the_library_is_found_and_its_place_is_named(golden, capsys, monkeypatch, bug):
    module, name, wrong, places = BUGS[bug]
    monkeypatch.setattr(module, name, wrong(getattr(module, name)))
    status, lines = checked(capsys)
    assert status == 1 and "DIFFERS" in "".join(lines) and " difference" in lines[-1]
    for place in places:
        assert any(place in line for line in lines), place


@pytest.mark.parametrize("file, change, words", [
    (f"traces/{TRACE}/manifest.json", lambda content: content.replace(b'"steps": 3', b'"steps":  3'),
     "manifest.json is not, byte for byte"),
    (f"traces/{TRACE}/manifest.json", lambda content: content + b" ", "manifest.json is not, byte for byte"),
    (f"traces/{TRACE}/0000_s0_init_weights_conv1.npy",
     lambda content: content.replace(b"'fortran_order': False, ", b"'fortran_order':False,  "),
     "0000_s0_init_weights_conv1.npy is not, byte for byte"),
    ("ops/relu.json", lambda content: content + b"\n", "relu.json is not, byte for byte"),
    ("ops/relu.json", lambda content: content.replace(b"The magnitude is taken.", b"The Magnitude is taken."),
     "relu.json is not, byte for byte"),
    ("runs/short/config.json", lambda content: content + b" ", "config.json is not, byte for byte"),
    ("runs/short/steps.txt", lambda content: content.replace(b"\n", b"\r\n"), "steps.txt, line 1: "),
    ("runs/short/steps.txt", lambda content: content + b"\n", "steps.txt, line 5: the run has no more lines"),
    ("runs/short/evaluation.txt", lambda content: content[:-1], "evaluation.txt, line 1: "),
    ("contract/constants.json", lambda content: content.replace(b"47274", b"47275"), "constants.json is not, byte for"),
    ("contract/philox.txt", lambda content: content[:-1], "philox.txt is not, byte for byte"),
    ("text/ops/relu.txt", lambda content: content.replace(b" 0 ", b" 1 ", 1), "text/ops/relu.txt is not, byte for"),
    (f"text/traces/{TRACE}.txt", lambda content: content[:-2] + b"9\n", f"text/traces/{TRACE}.txt is not, byte for")])
def test_bytes_alone_that_differ_are_found(golden, capsys, file, change, words):
    content = (golden / file).read_bytes()
    (golden / file).write_bytes(change(content))
    assert change(content) != content
    status, lines = checked(capsys)
    assert status == 1 and sum(line.startswith("    ") for line in lines) == 1 and words in "\n".join(lines)
    assert lines[-1].endswith(" comparisons, 1 difference")


@pytest.mark.parametrize("name", [f"traces/{TRACE}/more.npy", "runs/short/more.txt", "contract/more.json",
                                  "text/more.txt", "text/ops/more.txt"])
def test_a_file_too_many_is_found(golden, capsys, name):
    (golden / name).write_bytes(b"")
    status, lines = checked(capsys)
    assert status == 1 and name.rpartition("/")[2] in "".join(line for line in lines if line.startswith("    "))


@pytest.mark.parametrize("name", ["traces/other", "runs/other", "ops/other.json"])
def test_what_is_of_no_known_name_is_refused(golden, capsys, name):
    (golden / name).mkdir()
    assert str(golden / name) in refused(capsys, "golden", "check")


@pytest.mark.parametrize("name", [f"traces/{TRACE}", "runs/short", "runs/short/steps.txt", "runs/short/evaluation.txt",
                                  "ops/relu.json", "ops", "."])
def test_what_is_missing_is_refused(golden, capsys, name):
    path = golden / name
    path.unlink() if path.is_file() else shutil.rmtree(path)
    refused(capsys, "golden", "check")


def test_missing_data_are_named_as_skipped_and_a_run_of_them_is_kept(golden, capsys, monkeypatch):
    shutil.copytree(GOLDEN / "runs" / MNIST_RUN, golden / "runs" / MNIST_RUN)
    runs = {"short": committed.RUNS["short"], MNIST_RUN: dict(data="mnist", bp_tail=0, epochs=1)}
    monkeypatch.setattr(committed, "RUNS", runs)
    subset = datasets.load("mnist-subset")
    monkeypatch.setattr(commands, "at_hand", lambda config: subset._replace(name=config.data))
    assert main(["golden", "update"]) == 0
    capsys.readouterr()
    status, lines = checked(capsys)
    assert status == 0
    assert f"run {MNIST_RUN}: SKIPPED, its data are not here (mnist); fetch them with `make data`" in lines
    before = snapshot(golden)
    assert main(["golden", "update"]) == 0
    assert f"kept run {MNIST_RUN}: its data are not here" in capsys.readouterr().out
    assert snapshot(golden) == before


def test_update_needs_the_bugs_and_check_does_not(golden, capsys, monkeypatch, tmp_path):
    before = snapshot(golden)
    monkeypatch.setattr(commands, "TESTS", tmp_path / "tests")
    message = refused(capsys, "golden", "update")
    assert str(tmp_path / "tests" / "bugs.py") in message and "run this from a clone" in message
    assert snapshot(golden) == before
    assert checked(capsys)[0] == 0


def test_an_update_that_fails_changes_nothing(golden, capsys, monkeypatch):
    before = snapshot(golden.parent)

    def full(*given):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(update, "write_atomically", full)
    assert "No space left" in refused(capsys, "golden", "update")
    assert snapshot(golden.parent) == before
