"""Pictures whatever the user's drawing set-up is: the same bytes, or one line that says why there is none."""
import os

import matplotlib
import numpy as np
import pytest

from small_runs import python, snapshot, train_options, write_digits
from zo_numpy.__main__ import main
from zo_numpy.app import plots
from zo_numpy.app.drawing import own_settings, panels

MATPLOTLIBRC = """
text.usetex: True
font.family: no such font
figure.dpi: 7
axes.facecolor: red
this is no line of it
savefig.format: pdf
figure.constrained_layout.use: False
backend: TkAgg
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def undisturbed(digits, tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    trained(digits, run)
    return (run / "curves.png").read_bytes()


def trained(digits, run, prelude="", cwd=None, **env):
    """The lines on stderr of a short training that ends well.  prelude: code that comes first."""
    code = prelude + "\nimport sys; from zo_numpy.__main__ import main; sys.exit(main(sys.argv[1:]))"
    result = python("-c", code, *train_options(digits, run, epochs=1), cwd=cwd, env={"MPLBACKEND": "", **env})
    assert result.returncode == 0 and "test accuracy" in result.stdout.splitlines()[-1], result.stderr
    return result.stderr.splitlines()


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "no such thing"])
def test_a_backend_of_the_environment_changes_no_picture(digits, undisturbed, tmp_path, backend):
    assert trained(digits, tmp_path / "run", MPLBACKEND=backend) == []
    assert (tmp_path / "run/curves.png").read_bytes() == undisturbed


def test_a_matplotlibrc_changes_no_picture(digits, undisturbed, tmp_path):
    (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC)
    assert trained(digits, tmp_path / "run", cwd=tmp_path) == []
    assert (tmp_path / "run/curves.png").read_bytes() == undisturbed


def test_settings_made_in_the_process_change_no_picture_and_stay(tmp_path):
    line = {"epoch": 1, "train_loss": 2.0, "test_accuracy": 10.0}
    before = plots.picture([line], "title")
    with matplotlib.rc_context({"text.usetex": True, "figure.dpi": 7, "axes.facecolor": "red"}):
        assert plots.picture([line], "title") == before
        assert matplotlib.rcParams["text.usetex"] and matplotlib.rcParams["figure.dpi"] == 7


def test_the_environment_is_as_it_was_afterwards(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "inline")
    with pytest.raises(ZeroDivisionError), own_settings():
        assert "MPLBACKEND" not in os.environ
        1 / 0
    assert os.environ["MPLBACKEND"] == "inline"
    with panels(3, (6, 2)) as (figure, axes):
        assert len(axes) == 3 and figure.get_size_inches().tolist() == [6, 2]


def test_a_font_cache_that_cannot_be_written_changes_no_picture(digits, undisturbed, tmp_path):
    """There is no home, and the folder of the cache is a file."""
    (tmp_path / "file").write_text("")
    assert trained(digits, tmp_path / "run", MPLCONFIGDIR=str(tmp_path / "file"), HOME=str(tmp_path / "none")) == []
    assert (tmp_path / "run/curves.png").read_bytes() == undisturbed


BROKEN = {   # code that comes first: what is said
    "import sys; sys.modules['matplotlib.figure'] = None": "matplotlib.figure",
    "import os, tempfile\ndef mkdtemp(*_, **__): raise OSError(30, 'Read-only file system')\n"
    "tempfile.mkdtemp = mkdtemp\nos.environ['MPLCONFIGDIR'] = '/dev/null/no'": "writable cache directory",
}


@pytest.mark.parametrize("prelude", BROKEN)
def test_a_matplotlib_that_fails_is_one_line_and_the_run_is_whole(digits, undisturbed, tmp_path, prelude):
    lines = trained(digits, tmp_path / "run", prelude)
    assert len(lines) == 1 and "the run is complete" in lines[0] and BROKEN[prelude] in lines[0]
    assert "curves.png" in lines[0] and f"--resume --out {tmp_path / 'run'}" in lines[0]
    assert set(snapshot(tmp_path / "run")) == {"config.json", "data.json", "steps.txt", "metrics.jsonl",
                                               "checkpoint.npz"}


@pytest.mark.parametrize("place", ["matplotlib.figure.Figure.savefig", "zo_numpy.app.plots.write_atomically"])
def test_a_picture_that_fails_is_drawn_by_a_resume(digits, undisturbed, tmp_path, monkeypatch, capsys, place):
    def full(*_, **__):
        raise OSError(28, "No space\nleft")

    with monkeypatch.context() as context:
        context.setattr(place, full)
        assert main(train_options(digits, tmp_path / "run", epochs=1)) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "No space left" in said and not (tmp_path / "run/curves.png").exists()
    assert main(train_options(digits, tmp_path / "run", "--resume", epochs=1)) == 0
    assert not capsys.readouterr().err and (tmp_path / "run/curves.png").read_bytes() == undisturbed


def test_a_picture_is_read_whatever_the_backend(digits, tmp_path):
    assert main(train_options(digits, tmp_path / "run", epochs=1)) == 0
    with own_settings():
        import matplotlib.image
        matplotlib.image.imsave(tmp_path / "digit.png", np.zeros((28, 28)), cmap="gray", format="png")
    read = python("-m", "zo_numpy", "predict", tmp_path / "run", tmp_path / "digit.png", env={"MPLBACKEND": "nothing"})
    assert read.returncode == 0 and "digit.png: " in read.stdout, read.stderr
