"""A checkout is byte for byte what was committed, whatever git is told, and works without git where nothing may be
written; options without effect are said."""
import ctypes
import os
import shutil
import subprocess

import pytest

from small_runs import ROOT, python, refused, snapshot, train, write_digits


@pytest.mark.skipif(not shutil.which("git"), reason="no git here")
def test_a_checkout_with_other_line_ends_changes_no_byte(tmp_path):
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    content = {"steps.txt": b"0 1 2\n1 2 3\n", "run": b"#!/bin/sh\n", "page.md": b"a\r\nb\n", "x.json": b"{}\n"}
    for name, text in content.items():
        (tmp_path / name).write_bytes(text)
    git = ["git", "-c", "core.autocrlf=true", "-c", "core.safecrlf=false", "-c", "user.name=x", "-c", "user.email=x@y"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["rm", "-rqf", "."], ["checkout", "HEAD", "."]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True, capture_output=True)
    assert {name: (tmp_path / name).read_bytes() for name in content} == content


@pytest.mark.parametrize("options, said", [
    (("--p-zero", "1,2,3"), "--p-zero has 3 values and the run 2 epochs"),
    (("--bp-tail", "0", "--b-bp", "3"), "--b-bp has no effect with --bp-tail 0"),
    (("--zo-frozen", "--b-zo", "1"), "--b-zo has no effect with --zo-frozen"), (("--p-zero", "1,2"), "")])
def test_options_without_effect_are_said(tmp_path, capfd, options, said):
    from zo_numpy import system
    system.say_once.cache_clear()
    train(write_digits(tmp_path / "digits"), tmp_path / "run", *options)
    assert said in (err := capfd.readouterr().err) and err.count("\n") == bool(said)


@pytest.mark.parametrize("data", ["mnist-subset", "synthetic-solids"])
def test_a_folder_for_data_that_need_none_is_refused(tmp_path, capsys, data):
    model = "narrow-lenet" if data == "mnist-subset" else "narrow-pointnet"
    assert "--data-dir has no effect" in refused(capsys, "train", "--data", data, "--model", model, "--data-dir",
                                                 tmp_path, "--out", tmp_path / "run")


def without_the_superusers_rights():
    """For a child's preexec_fn: files that are read-only are so for the superuser, too, on Linux."""
    drop_from_what_an_exec_gives, may_write_everywhere = 24, 1
    if not os.geteuid():
        ctypes.CDLL(None).prctl(drop_from_what_an_exec_gives, may_write_everywhere, 0, 0, 0)


def test_a_zip_download_of_an_odd_name_that_may_not_be_written(tmp_path):
    """Without .git: training, the vectors of the ops and tests work."""
    clone, mine = tmp_path / "it's a \"clone\" é $x", tmp_path / "mine"
    for name in ("zo_numpy", "datasets", "experiments", "tests"):
        shutil.copytree(ROOT / name, clone / name,
                        ignore=shutil.ignore_patterns("__pycache__", "cache", "traces", "results", "old"))
    shutil.copy(ROOT / "setup.cfg", clone)
    for path in (*clone.rglob("*"), clone):
        path.chmod(0o555 if path.is_dir() else 0o444)
    mine.mkdir()
    before = snapshot(clone)
    run = ("train", "--data", "mnist-subset", "--model", "narrow-lenet", "--limit", 64, "--bp-tail", "all",
           "--epochs", 1, "--out", mine / "run")
    options = {"cwd": clone, "env": {"PYTHONPATH": str(clone)}, "preexec_fn": without_the_superusers_rights}
    if not python("-c", "open('new', 'w')", **options).returncode:
        pytest.skip("the superuser may write everywhere")
    for words in (("-m", "zo_numpy", *run), ("-m", "zo_numpy", "evaluate", mine / "run", "--picture"),
                  ("-c", "import pathlib; from zo_numpy.golden import check;"
                         "assert check.check_ops(pathlib.Path('tests/golden/ops'))[1] == []"),
                  ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={mine / 'tests'}",
                   "tests/test_layers_int8.py")):
        done = python(*words, **options)
        assert done.returncode == 0, done.stdout + done.stderr
    assert snapshot(clone) == before and (mine / "run" / "confusion.png").exists()
