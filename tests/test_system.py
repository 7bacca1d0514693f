"""What only some systems have: everything works without it, nothing waits for a lock without end."""
import errno
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from small_runs import ROOT, environment, python, snapshot, train_options, write_digits
from zo_numpy import files, system
from zo_numpy.errors import UserError
from zo_numpy.files import write_atomically
from zo_numpy.run.folder import RunFolder

fcntl = pytest.importorskip("fcntl")

# A Python as on Windows: python -c POOR COMMANDS, a JSON list; `golden check` has one trace and one run to compare.
POOR = """
import os, signal, sys
for name in ("fcntl", "resource", "grp", "pwd", "termios"):
    sys.modules[name] = None
for name in ("fork", "getuid", "killpg", "sched_getaffinity"):
    delattr(os, name)
for name in [name for name in dir(signal) if name.startswith("SIG")]:
    if name not in ("SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"):
        delattr(signal, name)
del os.environ["ZO_NUMPY_THREADS"]
import json, pathlib
from zo_numpy.__main__ import main
from zo_numpy.app import vectors
from zo_numpy.golden import check, committed
vectors.GOLDEN = pathlib.Path(os.environ["FEW_VECTORS"])
check.contract.check_files = lambda golden, made: (0, [])   # these list all vectors
for part, kept in ((committed.TRACES, "narrow-lenet-int8-k2"), (committed.RUNS, "subset-int8-k2-limit")):
    for name in set(part) - {kept}:
        del part[name]
for command in json.loads(sys.argv[1]):
    print(chr(0), command[0], "ended with", main(command), flush=True)
"""


def few_vectors(folder):
    """The folder, with the vectors that POOR compares."""
    for name in ("ops", "traces/narrow-lenet-int8-k2", "runs/subset-int8-k2-limit"):
        shutil.copytree(ROOT / "tests/golden" / name, folder / name)
    return folder


def test_every_command_works_without_what_windows_lacks(tmp_path):
    digits, run, picture = write_digits(tmp_path / "digits"), tmp_path / "run", write_picture(tmp_path / "digit.npy")
    commands = [train_options(digits, run), train_options(digits, run, "--resume"),
                ["evaluate", run, "--data-dir", digits], ["predict", run, picture],
                ["memory", "--model", "narrow-lenet", "--batch-size", "2", "--measure"], ["golden", "check"]]
    result = python("-c", POOR, json.dumps(commands, default=str),
                    env={"FEW_VECTORS": str(few_vectors(tmp_path / "golden"))})
    assert result.stdout.count(" ended with 0\n") == len(commands), result.stdout + result.stderr
    trained, resumed, evaluated, predicted, memory, compared, _ = result.stdout.split("\0")
    assert "test accuracy" in trained and "test accuracy" in resumed and "one at a time" in evaluated
    assert f"{picture}: " in predicted and "measured" in memory and "does not tell" in memory.splitlines()[-1]
    assert "no differences" in compared and "SKIPPED" not in compared
    assert result.stderr.count("\n") == 1 and f"no locks for {run}" in result.stderr
    assert not [path for path in run.iterdir() if path.name.endswith(".part")]


def write_picture(path):
    np.save(path, np.zeros((28, 28), np.uint8))
    return path


def test_without_process_groups_the_process_alone_is_ended(monkeypatch):
    for lacking in (False, True):
        if lacking:
            monkeypatch.delattr(os, "killpg")
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
        system.end_group(process)
        process.communicate()
        assert process.returncode


def test_a_lock_that_is_kept_is_waited_for_with_a_limit_and_a_word(tmp_path, monkeypatch, capsys):
    """Somebody removes remains in the folder and is stopped in the middle of that."""
    monkeypatch.setattr(files, "LOCK_SECONDS", 1.5)
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    started = time.monotonic()
    write_atomically(tmp_path / "file", b"whole")
    assert 1.4 < time.monotonic() - started < 5
    os.close(holder)
    waiting, without = capsys.readouterr().err.splitlines()
    assert f"waiting for another process, which holds the lock of {tmp_path}" in waiting
    assert f"the lock of {tmp_path}" in without and "without it" in without
    started = time.monotonic()
    write_atomically(tmp_path / "file", b"again")
    assert time.monotonic() - started < 1 and not capsys.readouterr().err
    assert snapshot(tmp_path) == {"file": b"again"}


def test_a_lock_that_is_given_back_is_taken(tmp_path, monkeypatch, capsys):
    holder = subprocess.Popen([sys.executable, "-c", "import fcntl, os, sys, time\n"
                               "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
                               "print('held', flush=True); time.sleep(0.3)", tmp_path], stdout=subprocess.PIPE,
                              env=environment())
    holder.stdout.readline()
    write_atomically(tmp_path / "file", b"whole")
    assert holder.wait(10) == 0 and not capsys.readouterr().err
    holder.stdout.close()


def test_a_result_that_another_process_keeps_is_an_error_after_a_while(tmp_path, monkeypatch):
    from experiments import common
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(common, "LOCK_SECONDS", 0.2)
    with common.changing("one"):
        with common.changing("another"):
            pass
        with pytest.raises(TimeoutError, match="one.json"), common.changing("one"):
            pass
    with common.changing("one"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO])
def test_a_file_system_without_locks_is_said_once(tmp_path, monkeypatch, capsys, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):
        with RunFolder(tmp_path / "run"):
            write_atomically(tmp_path / "file", b"whole")
    assert capsys.readouterr().err.count("\n") == 1
    assert snapshot(tmp_path) == {"file": b"whole"}


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_is_said_once(tmp_path, monkeypatch, capsys, number):
    def fsync(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    for content in (b"whole", b"again"):
        write_atomically(tmp_path / "file", content)
    with RunFolder(tmp_path / "run") as folder:
        folder.start({"format_version": 0})
        folder.open_logs(0, 0)
        folder.save({}, {"step": 0})
    said = capsys.readouterr().err.splitlines()
    assert said and len(said) == len(set(said)) and all("cannot sync" in line for line in said)
    assert (tmp_path / "file").read_bytes() == b"again" and folder.has_checkpoint()


def test_a_disk_that_fails_to_sync_is_an_error(tmp_path, monkeypatch):
    def fsync(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    write_atomically(tmp_path / "file", b"before")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file", b"after")
    assert snapshot(tmp_path) == {"file": b"before"}


def test_a_run_that_trains_elsewhere_is_refused_at_once(tmp_path):
    with RunFolder(tmp_path / "run"):
        started = time.monotonic()
        with pytest.raises(UserError, match="another process"):
            RunFolder(tmp_path / "run").__enter__()
        assert time.monotonic() - started < 1
