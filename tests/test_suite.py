"""`python -m tests`: every file runs once, and a failure in any of them is the suite's."""
import importlib

import pytest

suite = importlib.import_module("tests.__main__")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    (tmp_path / "tests").mkdir()
    for number in range(6):
        text = f"def test_{number}():\n    assert {number} < 9\n\n\ndef test_twice():\n    pass\n"
        (tmp_path / "tests" / f"test_{number}.py").write_text(text)
    return tmp_path


def test_the_sum_of_all_processes(project, capsys):
    assert suite.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("==== 12 passed in ")
    assert suite.main(["-k", "test_3"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("==== 2 passed in ")
    assert suite.main(["-k", "nothing"]) == 5 and "no tests ran in" in capsys.readouterr().out


@pytest.mark.parametrize("text, said", [
    ("def test_bad():\n    assert 0\n", "==== 1 failed, 12 passed in "),
    ("import os, signal\n\n\ndef test_killed():\n    os.kill(os.getpid(), signal.SIGKILL)\n", "==== "),
    ("import nothing_of_this_name\n", "1 error")])
def test_what_fails_in_one_process_fails_the_suite(project, capsys, text, said):
    (project / "tests" / "test_9.py").write_text(text)
    assert suite.main([]) == 1 and said in capsys.readouterr().out.splitlines()[-1]
