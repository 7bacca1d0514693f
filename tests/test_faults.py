"""Kills, Ctrl-C, full disks, damaged files: the resumed run is the undisturbed one, or it is refused."""
import contextlib
import json
import os
import re
import random
import resource
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from small_runs import (ROOT, assert_same_run, at_default_signals, environment, main, metrics, one_line,
                        python, refused, snapshot, start, train, train_options, write_digits)
from tests.trust.runs import half_written
from zo_numpy.app import commands
from zo_numpy.app.plots import draw_curves
from zo_numpy.files import hidden_name, scratch_folder, write_atomically
from zo_numpy.run.checkpoint import read_checkpoint, write_checkpoint
from zo_numpy.run.folder import RunFolder

EPOCHS = 30   # 390 steps, one or two seconds


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, digits):
    return train(digits, tmp_path_factory.mktemp("undisturbed") / "run", epochs=EPOCHS)


@pytest.fixture(scope="module")
def short(tmp_path_factory, digits):
    """A finished run of 2 epochs, not to be changed."""
    return train(digits, tmp_path_factory.mktemp("short") / "run")


@pytest.fixture
def run(short, tmp_path):
    """A copy of the short run, to be damaged."""
    return shutil.copytree(short, tmp_path / "run")


def wait_for(process, beginning):
    """Reads a child's output up to the line that begins so.  Returns the line."""
    for line in process.stdout:
        if line.startswith(beginning):
            return line
    pytest.fail(f"no line {beginning!r}: {process.communicate()}")


# Kills

def test_killed_at_random_moments(tmp_path, digits, undisturbed):
    draw, kills = random.Random(7), 0
    for _ in range(11):
        process = start(*train_options(digits, tmp_path / "run", "--resume", epochs=EPOCHS), save_every=0.02)
        wait_for(process, f"{EPOCHS} epochs of")
        time.sleep(draw.uniform(0, 0.06))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 10
    train(digits, tmp_path / "run", "--resume", epochs=EPOCHS)
    assert_same_run(tmp_path / "run", undisturbed)


def test_killed_in_the_middle_of_file_operations(tmp_path, digits, short):
    result = python(ROOT / "tests" / "dying_run.py", 4, *train_options(digits, tmp_path / "run"),
                    env={"ZO_NUMPY_THREADS": "1"})   # it forks, which threads do not survive
    assert result.returncode == 0, result.stderr
    deaths = dict(line.rsplit(" ", 1) for line in result.stdout.splitlines())
    assert set(deaths) == {"write", "flush", "truncate", "fsync to come", "fsync done", "replace to come",
                           "replace done"}
    assert sum(map(int, deaths.values())) >= 30
    assert_same_run(tmp_path / "run", short)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="which file is synced is not told here")
def test_the_order_of_writing_survives_a_power_failure(tmp_path, digits, monkeypatch):
    """Both logs reach the disk, then the new checkpoint, and only then does it take the old one's name."""
    happened = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(number):
        name = os.path.basename(os.readlink(f"/proc/self/fd/{number}"))
        happened.append("sync " + re.sub(r"^\.(.*)\.[0-9a-f]{8}\.part$", r"\1.part", name))
        real_fsync(number)

    def replace(old, new):
        happened.append(f"replace {os.path.basename(new)}")
        real_replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    train(digits, tmp_path / "run", epochs=1)
    assert happened == ["sync config.json.part", "replace config.json",
                        "sync data.json.part", "replace data.json",
                        "sync steps.txt", "sync metrics.jsonl",
                        "sync checkpoint.npz.part", "replace checkpoint.npz",
                        "sync curves.png.part", "replace curves.png"]


def test_a_half_written_file_left_by_a_kill_is_harmless(run, short, digits):
    for name in ("checkpoint.npz", "curves.png"):
        (run / name).rename(run / f".{name}.0123abcd.part")
    (run / "steps.txt").write_bytes((run / "steps.txt").read_bytes()[:-7])
    train(digits, run, "--resume")
    assert_same_run(run, short)
    assert not list(run.glob(".*.part"))


# Ctrl-C and SIGTERM

def test_signals_save_the_step_and_say_how_to_go_on(tmp_path, digits, undisturbed):
    """Ctrl-C, then what was said is typed, then SIGTERM, then what was said is typed again."""
    out = tmp_path / "a run"   # the space must be quoted in what is to be typed
    process = start(*train_options(digits, out, epochs=EPOCHS))
    before = 0
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        wait_for(process, f"epoch {before // 13 + 1:>2}/")
        time.sleep(0.05)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == status
        saved = read_checkpoint(out / "checkpoint.npz")[1]["step"]
        assert before < saved < 13 * EPOCHS
        assert stderr.startswith(f"interrupted: step {saved:,} of {13 * EPOCHS:,} is saved; go on with: ")
        assert stderr.count("\n") == 1
        assert len((out / "steps.txt").read_text().splitlines()) == saved
        before = saved
        command = stderr.split("go on with: ")[1].strip()
        assert command.endswith(f" -m zo_numpy train --resume --out '{out}'")
        process = subprocess.Popen("exec " + command, shell=True, text=True, env=environment(),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=at_default_signals)
        assert f"resumed at step {saved:,}" in wait_for(process, f"{EPOCHS} epochs of")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0 and stderr == ""
    assert_same_run(out, undisturbed)


def test_a_signal_that_a_background_job_ignores_stays_ignored(tmp_path, digits, undisturbed):
    process = start(*train_options(digits, tmp_path / "run", epochs=EPOCHS),
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_for(process, "epoch  1/")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert_same_run(tmp_path / "run", undisturbed)


def test_two_runs_on_one_folder(run, digits, capsys):
    before = snapshot(run)
    with RunFolder(run):
        assert "another process" in refused(capsys, *train_options(digits, run, "--resume"))
    assert snapshot(run) == before
    train(digits, run, "--resume")   # the lock went with its holder


def test_a_lock_left_by_a_dead_process_does_not_lock(run, digits):
    (run / ".lock").write_text("")
    train(digits, run, "--resume")


# Resuming what cannot be resumed

def damage(run, name, change):
    (run / name).write_bytes(change((run / name).read_bytes()))


@pytest.mark.parametrize("option", [
    ["--seed", 1], ["--epochs", 3], ["--bp-tail", 1], ["--batch-size", 17], ["--p-zero", "128,129"],
    ["--headroom", "0,0,0,0,0"], ["--validate", 5], ["--loss", "coarse"], ["--zo-frozen"],
    ["--tail-passes", "both"]], ids=str)
def test_resume_refuses_another_configuration(run, digits, capsys, option):
    before = snapshot(run)
    message = refused(capsys, "train", "--data-dir", digits, "--out", run, "--resume", *option)
    assert str(run) in message and option[0][2:].replace("-", "_") in message and "another --out" in message
    assert snapshot(run) == before


def test_resume_takes_what_is_left_out_from_the_run(run, digits, short):
    (run / "checkpoint.npz").unlink()
    assert main(["train", "--data-dir", str(digits), "--out", str(run), "--resume"]) == 0
    assert_same_run(run, short)


def test_resume_refuses_other_data(run, tmp_path, capsys):
    before = snapshot(run)
    other = write_digits(tmp_path / "other", seed=1)
    assert "other data" in refused(capsys, *train_options(other, run, "--resume"))
    assert snapshot(run) == before


def test_without_resume_a_run_is_not_overwritten(run, digits, capsys):
    before = snapshot(run)
    assert "--resume" in refused(capsys, *train_options(digits, run))
    assert snapshot(run) == before


def other_network(run):
    """A wider first layer, the rest alike."""
    arrays, numbers = read_checkpoint(run / "checkpoint.npz")
    arrays["conv1"] = np.zeros((6, 1, 5, 5), np.int8)
    write_checkpoint(run / "checkpoint.npz", arrays, numbers)


def becomes_a_folder(path):
    path.unlink()
    path.mkdir()


def flipped(content):
    """One bit of what surely is a weight: the first array's data begin within the first 900 bytes."""
    return content[:900] + bytes([content[900] ^ 1]) + content[901:]


def with_numbers(run, **changes):
    arrays, numbers = read_checkpoint(run / "checkpoint.npz")
    changed = {name: value for name, value in {**numbers, **changes}.items() if value is not None}
    write_checkpoint(run / "checkpoint.npz", arrays, changed)


DAMAGES = {
    "checkpoint cut": lambda run: damage(run, "checkpoint.npz", lambda c: c[:len(c) // 2]),
    "checkpoint empty": lambda run: damage(run, "checkpoint.npz", lambda c: b""),
    "checkpoint random": lambda run: damage(run, "checkpoint.npz", lambda c: random.Random(0).randbytes(999)),
    "checkpoint zeros": lambda run: damage(run, "checkpoint.npz", lambda c: bytes(len(c))),
    "checkpoint with a flipped bit": lambda run: damage(run, "checkpoint.npz", flipped),
    "checkpoint of another network": lambda run: other_network(run),
    "checkpoint is a folder": lambda run: becomes_a_folder(run / "checkpoint.npz"),
    "checkpoint pickled": lambda run: np.save(open(run / "checkpoint.npz", "wb"), [{}]),
    "steps.txt shorter": lambda run: damage(run, "steps.txt", lambda c: c[:-1]),
    "steps.txt gone": lambda run: (run / "steps.txt").unlink(),
    "steps.txt of other steps": lambda run: damage(run, "steps.txt", lambda c: c.replace(b"\n", b" ", 1)),
    "metrics.jsonl shorter": lambda run: damage(run, "metrics.jsonl", lambda c: c[:-40]),
    "metrics.jsonl gone": lambda run: (run / "metrics.jsonl").unlink(),
    "steps.txt is a folder": lambda run: becomes_a_folder(run / "steps.txt"),
    "a step beyond the last": lambda run: with_numbers(run, step=10**6),
    "a step below 0": lambda run: with_numbers(run, step=-1),
    "a step that is no number": lambda run: with_numbers(run, step="13"),
    "a step that is not whole": lambda run: with_numbers(run, step=13.0),
    "a step of many": lambda run: with_numbers(run, step=np.arange(3)),
    "a huge step": lambda run: with_numbers(run, step=2**62),
    "no sum of losses": lambda run: with_numbers(run, loss_sum=None),
    "an exponent of many": lambda run: with_numbers(run, **{"conv1.exponent": np.arange(2)}),
    "no exponent": lambda run: with_numbers(run, **{"conv1.exponent": None}),
    "config.json empty": lambda run: damage(run, "config.json", lambda c: b""),
    "config.json cut": lambda run: damage(run, "config.json", lambda c: c[:-9]),
    "config.json binary": lambda run: damage(run, "config.json", lambda c: bytes(range(256))),
    "config.json a list": lambda run: damage(run, "config.json", lambda c: b"[]"),
    "config.json deep": lambda run: damage(run, "config.json", lambda c: b"[" * 200_000),
    "config.json of later days": lambda run: damage(run, "config.json", lambda c: c.replace(b"0", b"9", 1)),
    "config.json is a folder": lambda run: becomes_a_folder(run / "config.json"),
    "config.json gone": lambda run: (run / "config.json").unlink(),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_resume_refuses_a_damaged_run_and_leaves_it_alone(run, digits, capsys, what):
    DAMAGES[what](run)
    before = snapshot(run)
    message = refused(capsys, *train_options(digits, run, "--resume"))
    assert str(run) in message
    assert snapshot(run) == before


def test_resume_refuses_a_checkpoint_beyond_the_end_of_the_run(run, digits, capsys):
    checkpoint = read_checkpoint(run / "checkpoint.npz")
    damage(run, "config.json", lambda content: content.replace(b'"epochs": 2', b'"epochs": 1'))
    write_checkpoint(run / "checkpoint.npz", *checkpoint)   # sealed together with what it is beside
    before = snapshot(run)
    assert "step 26 of 13" in refused(capsys, "train", "--data-dir", digits, "--out", run, "--resume")
    assert snapshot(run) == before


@pytest.mark.parametrize("what", [what for what in DAMAGES
                                  if what.startswith(("checkpoint", "config.json", "no "))])
def test_no_other_command_uses_a_damaged_run(run, digits, capsys, what):
    image = run / "image.npy"
    np.save(image, np.zeros((28, 28), np.uint8))
    DAMAGES[what](run)
    before = snapshot(run)
    for command in (["evaluate", run, "--data-dir", digits], ["predict", run, image], ["export", run]):
        assert str(run) in refused(capsys, *command)
    assert snapshot(run) == before


def test_random_damage_to_any_file_is_refused_or_without_effect(run, short, digits, tmp_path, capsys):
    """150 random byte flips, cuts and insertions: said in one line, or the right weights are exported."""
    draw = random.Random(1)
    arrays, numbers = read_checkpoint(short / "checkpoint.npz")
    refusals = 0
    for _ in range(150):
        name = draw.choice(["config.json", "checkpoint.npz"])
        content = bytearray((short / name).read_bytes())
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(content))
            kind = draw.randrange(3)
            if kind == 0:
                content[place] = draw.randrange(256)
            elif kind == 1:
                del content[place:place + draw.randint(1, 50)]
            else:
                content[place:place] = draw.randbytes(draw.randint(1, 8))
        (run / name).write_bytes(content)
        capsys.readouterr()
        status = main(["export", str(run), "--out", str(tmp_path / "weights.npz")])
        stderr = capsys.readouterr().err
        if status:
            refusals += 1
            one_line(stderr)
        elif name == "checkpoint.npz":
            with np.load(tmp_path / "weights.npz", allow_pickle=False) as exported:
                for array in arrays:
                    np.testing.assert_array_equal(exported[array], arrays[array])
                assert all(exported[key] == numbers[key] for key in numbers if key.endswith(".exponent"))
        shutil.copy(short / name, run / name)
    assert refusals > 100


# Disks

@contextlib.contextmanager
def tiny_disk(folder, size):
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
                             capture_output=True)
    if mounted.returncode:
        pytest.skip("only the superuser can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def check_out_of_space(failed, out, digits):
    """Of a run that ran out of space: one line says so and how to go on, and the checkpoint is sound."""
    assert failed.returncode == 2, failed.stderr
    message = one_line(failed.stderr)
    assert str(out) in message and message.endswith(f"train --resume --out {out}")
    step = read_checkpoint(out / "checkpoint.npz")[1]["step"]
    assert 0 < step < 13 * EPOCHS
    assert not list(out.glob(".*.part"))


def test_full_disk(tmp_path, digits, undisturbed):
    with tiny_disk(tmp_path / "disk", "48k") as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(12 << 10))
        failed = python("-m", "zo_numpy", *train_options(digits, disk / "run", epochs=EPOCHS))
        check_out_of_space(failed, disk / "run", digits)
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        train(digits, disk / "run", "--resume", epochs=EPOCHS)
        assert_same_run(disk / "run", undisturbed)


@pytest.mark.parametrize("size", ["0", "16k"])
def test_disk_that_is_full_from_the_start(tmp_path, digits, short, size):
    with tiny_disk(tmp_path / "disk", "64k") as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes((64 - int(size.rstrip("k"))) << 10))
        failed = python("-m", "zo_numpy", *train_options(digits, disk / "run"))
        assert failed.returncode == 2 and str(disk / "run") in one_line(failed.stderr)
        if not (disk / "run" / "config.json").exists():
            assert not (disk / "run").exists()
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        train(digits, disk / "run", "--resume")
        assert_same_run(disk / "run", short)


def test_files_of_bounded_size(tmp_path, digits, undisturbed):
    """As a full disk, for those who cannot mount one: the log outgrows what a file may have."""
    def bound():
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    out = tmp_path / "run"
    failed = python("-m", "zo_numpy", *train_options(digits, out, epochs=EPOCHS), preexec_fn=bound)
    check_out_of_space(failed, out, digits)
    train(digits, out, "--resume", epochs=EPOCHS)
    assert_same_run(out, undisturbed)


def test_checkpoint_that_does_not_fit(tmp_path, digits, short):
    def bound():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    out = tmp_path / "run"
    failed = python("-m", "zo_numpy", *train_options(digits, out), preexec_fn=bound)
    assert failed.returncode == 2 and str(out) in one_line(failed.stderr)
    assert {path.name for path in out.iterdir()} == {".lock", "config.json", "data.json", "steps.txt", "metrics.jsonl"}
    train(digits, out, "--resume")
    assert_same_run(out, short)


@pytest.mark.parametrize("out", ["/dev/null/run", "/proc/run", "file", "file/run"])
def test_folder_that_cannot_be_made(tmp_path, digits, capsys, out, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    before = snapshot(tmp_path)
    assert out in refused(capsys, *train_options(digits, out))
    assert snapshot(tmp_path) == before


def test_read_only_folder(tmp_path, digits, capsys):
    (tmp_path / "mine").mkdir(mode=0o500)
    if os.access(tmp_path / "mine", os.W_OK):
        pytest.skip("the superuser may write everywhere")
    assert "Permission denied" in refused(capsys, *train_options(digits, tmp_path / "mine" / "run"))
    assert "Permission denied" in refused(capsys, *train_options(digits, tmp_path / "mine"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_output_that_cannot_be_written(tmp_path, digits):
    with open("/dev/full", "w") as full:
        process = start(*train_options(digits, tmp_path / "run"), stdout=full)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "No space left" in one_line(stderr)


def test_interrupt_while_the_picture_is_drawn(tmp_path, digits, short, monkeypatch):
    """Training has ended: the run ends as it would have."""
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        draw_curves(*arguments)

    monkeypatch.setattr(commands, "draw_curves", interrupted)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)   # ignored in a shell's background jobs
    try:
        out = train(digits, tmp_path / "run")
    finally:
        signal.signal(signal.SIGINT, previous)
    assert_same_run(out, short)


def test_reader_that_leaves(tmp_path, digits, undisturbed):
    """As `train | head -1`: the run ends quietly, and can be resumed."""
    out = tmp_path / "run"
    process = start(*train_options(digits, out, epochs=EPOCHS), save_every=0.02)
    wait_for(process, "epoch  1/")
    process.stdout.close()
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE
    assert process.stderr.read() == ""
    process.stderr.close()
    train(digits, out, "--resume", epochs=EPOCHS)
    assert_same_run(out, undisturbed)


@pytest.mark.parametrize("clock", ["time", "monotonic"])   # the second as on a machine whose clock is broken
def test_clock_that_jumps(tmp_path, digits, short, monkeypatch, clock):
    """No clock decides anything: with it a year back at every look, the run is the same."""
    real = getattr(time, clock)
    looks = []
    monkeypatch.setattr(time, clock, lambda: looks.append(0) or real() - 31_536_000 * len(looks))
    out = train(digits, tmp_path / "run")
    assert_same_run(out, short)
    assert all(line["seconds"] >= 0 for line in map(json.loads, open(out / "metrics.jsonl")))
    assert metrics(out) == metrics(short)


# Random moments, as `make faults` has them

def damage_checks(folder, undisturbed):
    for name, change in (("checkpoint.npz", lambda c: c[:-9]), ("curves.png", lambda c: c[:-3]),
                         ("config.json", lambda c: c[:40]), ("steps.txt", lambda c: c[:50]),
                         ("metrics.jsonl", lambda c: c.replace(b'"epoch": 1', b'"epoch": 7'))):
        shutil.copytree(undisturbed, folder / name)
        damage(folder / name, name, change)
        yield name, half_written(folder / name, undisturbed)


def test_what_is_half_written_is_seen(tmp_path, short):
    assert half_written(short, short) == []
    for name, found in damage_checks(tmp_path, short):
        assert any(name in what for what in found), name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_a_few_kills_of_every_task():
    result = python("-m", "tests.trust.faults", "--kills", 6, "--few", "--no-result", timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^\d+ kills and the other faults in \d+ s: 0 problems$", result.stdout, re.MULTILINE)


def test_remains_are_removed_unless_somebody_writes(tmp_path):
    remains, other = tmp_path / ".a file.0123abcd.part", tmp_path / ".another.0123abcd.part"
    for path in (remains, other):
        path.write_bytes(b"half")
    with hidden_name(tmp_path / "another.part"):   # somebody writes in the folder
        write_atomically(tmp_path / "a file", b"whole")
        assert remains.exists()
    write_atomically(tmp_path / "a file", b"whole")
    assert not remains.exists() and other.exists()
    remains.mkdir()
    (remains / "half").write_bytes(b"")
    with scratch_folder(tmp_path / "a file") as scratch:
        assert not remains.exists() and scratch.is_dir()
    assert not scratch.exists()
