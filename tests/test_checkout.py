"""A checkout is byte for byte what was committed, whatever git is told; options without effect are said."""
import shutil
import subprocess

import pytest

from small_runs import ROOT, refused, train, write_digits


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
