"""Paths of every kind: `~` in every option, links to nothing, folders for files and files for folders, no home."""
import os
import shutil

import numpy as np
import pytest

from small_runs import ROOT, one_line, python, refused, snapshot, train, train_options, write_digits
from zo_numpy.__main__ import main

PLACES = ("a link to nothing", "a file", "a file/in it", "~nobody has this name/x", "a folder\0with a nul")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home folder with digits and a vanilla-ZO run."""
    folder = tmp_path_factory.mktemp("home")
    train(write_digits(folder / "digits"), folder / "run", "--bp-tail", "0")
    np.save(folder / "digit.npy", np.zeros((28, 28), np.uint8))
    return folder


@pytest.mark.parametrize("words, made", [
    ("train --model narrow-lenet --batch-size 50 --epochs 1 --data-dir=~/digits --out=~/a", "a/checkpoint.npz"),
    ("train --model narrow-lenet --bp-tail 0 --batch-size 50 --epochs 1 --data-dir ~/digits --init-from=~/run --out ~/b",
     "b/checkpoint.npz"),
    ("evaluate ~/run --data-dir=~/digits", None), ("predict ~/run ~/digit.npy", None),
    ("export ~/run --out=~/c.npz", "c.npz"), ("replay ~/run --out=~/d.npz", "d.npz"),
    ("golden export ~/e --model narrow-lenet --data-dir=~/digits --steps 1", "e/manifest.json"),
    ("golden diff ~/e ~/e", None)])
def test_a_home_folder_is_found_however_the_option_is_spelled(home, tmp_path, monkeypatch, words, made):
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 0
    assert list(tmp_path.iterdir()) == [] and (made is None or (home / made).is_file())


def test_without_a_home_everything_else_works(home, tmp_path):
    """No variable, and nobody with this number among the users."""
    code = ("import os, pwd, sys; os.environ.pop('HOME', None); pwd.getpwuid = lambda number: {}[number]; "
            "from zo_numpy.__main__ import main; sys.exit(main(sys.argv[1:]))")
    done = python("-c", code, *train_options(home / "digits", tmp_path / "run", epochs=1))
    assert done.returncode == 0 and not done.stderr and (tmp_path / "run" / "curves.png").exists()
    done = python("-c", code, "evaluate", "~/run")
    assert done.returncode == 2 and "~/run names a home folder that is not known" in one_line(done.stderr)


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A working directory with one of each of PLACES."""
    (tmp_path / "a link to nothing").symlink_to("nowhere/at/all")
    (tmp_path / "a file").write_text("mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("words", ["train --out", "train --resume --out", "evaluate", "export", "replay", "predict RUN",
                                   "golden diff", "golden export", "train --data-dir", "train --init-from",
                                   "evaluate RUN --data-dir"])
def test_what_is_no_place_is_refused_in_one_line_of_plain_words(home, odd, capsys, words, place):
    before = snapshot(odd)
    words = [str(home / "run") if word == "RUN" else word for word in words.split()]
    words += [place, place] if words[-1] == "diff" else [place]
    if words[0] == "train" or words[1] == "export":
        words += ["--model", "narrow-lenet", "--epochs", "1"]
        words += [] if "--data-dir" in words else ["--data-dir", str(home / "digits")]
        words += [] if "--out" in words or words[0] != "train" else ["--out", "new"]
    line = refused(capsys, *words)
    assert ";" in line or ":" in line
    assert not any(word in line for word in ("Errno", "Error", "dtype", "Traceback", "(1, "))
    assert snapshot(odd) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("words", ["predict RUN pipe.png", "predict RUN pipe.npy", "train --data pipe.npz",
                                   "evaluate pipe", "train --model pipe.json", "golden diff pipe pipe", "train --init-from pipe.npz"])
def test_a_pipe_is_refused_and_not_waited_for(home, tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    words = [str(home / "run") if word == "RUN" else word for word in words.split()]
    os.mkfifo(words[-1])
    assert "is a pipe and no file" in refused(capsys, *words)


@pytest.mark.parametrize("kind, name", [
    *(("folder", name) for name in ("config.json", "checkpoint.npz", "steps.txt", "metrics.jsonl", ".lock")),
    *(("link", name) for name in ("config.json", "steps.txt", "metrics.jsonl", ".lock"))])
def test_a_file_of_a_run_that_is_none_is_named(home, tmp_path, capsys, name, kind):
    shutil.copytree(home / "run", tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    if kind == "folder":
        (tmp_path / "run" / name).mkdir()
    else:
        os.symlink("/nowhere/at/all", tmp_path / "run" / name)
    line = refused(capsys, "train", "--resume", "--out", tmp_path / "run", "--data-dir", home / "digits", "--bp-tail", 0,
                   "--model", "narrow-lenet", "--batch-size", 16, "--epochs", 2)
    assert str(tmp_path / "run") in line and "Errno" not in line and (name in line or kind == "link")


def test_an_exported_file_replaces_a_link_to_nothing(home, odd):
    assert main(["export", str(home / "run"), "--out", "a link to nothing"]) == 0
    assert (odd / "a link to nothing").stat().st_size > 0 and ROOT.exists()
