"""Faults at random moments: kills, Ctrl-C, full disks, read-only folders, company, a clock that jumps back.

After each of them no file is half-written, and the same command goes on to the same bytes as an undisturbed run.

    python -m tests.trust.faults [--kills 200] [--seed 0] [--scratch DIR] [--few] [--no-result]

A child is forked with everything imported and sent SIGKILL at a moment of its life; the moments are drawn from the
seed and spread evenly over the life of an undisturbed child. A third of the children that go on are killed again.
Hidden .part files may be left by a kill; the next one who writes the same file removes them. Writes
experiments/results/trust_faults.json; exit status 1 if anything was not as it must be.
"""
import argparse
import collections
import contextlib
import http.server
import itertools
import os
import pathlib
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time

from zo_numpy.__main__ import main as command   # first: it keeps BLAS from threads of its own
from experiments.common import save_result
from tests.trust.bench import Bench
from tests.trust.children import Child, Moments, disturbed, run
from tests.trust.tasks import Download, GoldenExport, RunExport, Training, below, is_part, serve
from zo_numpy.app.drawing import panels

KILLS = {"training, INT8": 50, "training, FP32": 20, "checkpointing": 50, "downloading": 35, "golden export": 25,
         "run export": 20}
AGAIN = 1 / 3         # of the children that go on after a kill are killed again
DISK = 16 << 20       # bytes of a small disk
NOBODY = 65534


def kill(bench, task, kills):
    """Kills a task's children.  Returns what was seen."""
    moments = Moments(f"{bench.seed} {task.name}", kills, bench.seconds[task.name])
    draw = random.Random(f"{bench.seed} again {task.name}")
    seen, folder = collections.Counter(), bench.new()
    while seen["kills"] < kills:
        end = disturbed(lambda: task.work(folder), moments.next(), signal.SIGKILL)
        if end.status != -signal.SIGKILL:   # it was faster than the one that was timed
            seen["ended before"] += 1
            if seen["ended before"] > 20 * kills:
                raise SystemExit(f"error: {task.name} ends before it can be killed; try again on a quieter machine")
        seen["kills"] += end.status == -signal.SIGKILL
        bench.check(task, folder)
        seen["left a .part"] += any(map(is_part, folder.rglob("*")))
        seen["left files"] += bool(below(folder))
        if end.status == -signal.SIGKILL and draw.random() < AGAIN:
            seen["killed again"] += 1
            continue
        bench.finish(task, folder)
        seen["went on to the same bytes"] += 1
        folder = bench.new()
    if any(folder.iterdir()):
        bench.finish(task, folder)
        seen["went on to the same bytes"] += 1
    return dict(seen)


def interrupt(bench, task, count):
    """Ctrl-C, SIGTERM, or Ctrl-C twice at random moments; training says how to go on, and that is done."""
    moments = Moments(f"{bench.seed} interrupt {task.name}", count, bench.seconds[task.name])
    seen = collections.Counter()
    kinds = ((signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM,))
    kinds = kinds if isinstance(task, Training) else kinds[:1]
    for i in range(count):
        signals, folder = kinds[i % len(kinds)], bench.new()
        end = disturbed(lambda: task.work(folder), moments.next(), *signals)
        seen[f"exit status {end.status}"] += 1
        early = (-signal.SIGTERM,) if signals == (signal.SIGTERM,) else ()   # before a run has begun it just ends
        bench.refused(task, end, (0, 128 + signals[0], *early))
        bench.check(task, folder)
        bench.no_parts(task, folder)
        if "go on with: " in end.err:
            words = shlex.split(end.err.split("go on with: ")[1])
            if run(lambda: command(words[3:])).status:
                bench.blame(task, f"{words} does not go on")
            seen["said how to go on"] += 1
        bench.finish(task, folder)
    return dict(seen)


@contextlib.contextmanager
def small_disk(bench):
    """A tmpfs to be filled, or None where none can be mounted."""
    disk = bench.new()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def limited(task, folder, size):
    """The task where no file may have more bytes than that, which says "File too large" where a disk would be full."""
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    return task.work(folder)


def fill(bench, task, count):
    """Full disks of `count` sizes; then there is room again."""
    draw, undisturbed = random.Random(f"{bench.seed} fill {task.name}"), bench.undisturbed[task.name]
    need = sum(path.stat().st_size + 4096 for path in undisturbed.rglob("*"))
    seen = collections.Counter()
    for i in range(count):
        free = int((i + draw.random()) / count * need)
        with small_disk(bench) as disk:
            folder, filler = (disk or bench.new()) / "folder", (disk or bench.scratch) / "filler"
            folder.mkdir()
            if disk:
                with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
                    file.write(bytes(DISK - free))
            end = run(lambda: task.work(folder) if disk else limited(task, folder, free // 2))
            seen["a small tmpfs" if disk else "a limit of each file's size"] += 1
            seen["it was too full" if end.status else "there was room"] += 1
            bench.refused(task, end, (0, 2))
            bench.check(task, folder)
            bench.no_parts(task, folder)
            filler.unlink(missing_ok=True)
            bench.finish(task, folder)
    return dict(seen)


def forbid(bench, task):
    """Folders that cannot be written: read-only disks, folders of another user.  Fresh and interrupted ones."""
    seen = collections.Counter()
    for share in (0, 0.5):
        with small_disk(bench) as disk:
            for place in ("disk", "user"):
                if place == "disk" and not disk:
                    seen["not at hand: mounting a read-only disk"] += 1
                    continue
                folder = (disk or bench.scratch) / f"{place}{share}"
                folder.mkdir()
                if share:
                    disturbed(lambda: task.work(folder), share * bench.seconds[task.name], signal.SIGKILL)
                protect(folder, place, disk, True)
                before = {path: path.read_bytes() for path in below(folder)}
                end = run(lambda: task.work(folder), NOBODY if place == "user" and not os.geteuid() else None)
                bench.refused(task, end, (0, 2) if share else (2,))   # one that was done has nothing left to write
                if before != {path: path.read_bytes() for path in below(folder)}:
                    bench.blame(task, f"something changed in a read-only {place}'s folder")
                protect(folder, place, disk, False)
                seen[f"refused: a read-only {place}" if place == "disk" else "refused: a folder of another user"] += 1
                bench.finish(task, folder)
    return dict(seen)


def protect(folder, place, disk, on):
    """Makes a folder read-only, or no more."""
    if place == "disk":
        subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", str(disk)], check=True)
        return
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o555 if on else 0o755)


def two_at_once(bench, task):
    """Two on one folder: of two runs or exports one at most is refused, the later one; other tasks both end well."""
    seen = collections.Counter()
    for share in (0.2, 0.5, 0.8):
        folder = bench.new()
        first = Child(lambda: task.work(folder))
        time.sleep(share * bench.seconds[task.name])
        both = run(lambda: task.work(folder)), first.end()
        refused = [child for child in both if "another process" in child.err or "is not empty" in child.err]
        for child in both:
            bench.refused(task, child, (2,) if child in refused else (0,))
        if len(refused) == 2:
            bench.blame(task, f"both of two were refused: {both[0].err[-500:]!r}")
        seen["one was refused" if refused else "both ended well"] += 1
        bench.finish(task, folder)
    return dict(seen)


def clock_back(bench, task):
    """Every look at a clock, the monotonic ones included, finds it an hour before the look before."""
    def backwards():
        looks = itertools.count()
        for name in ("time", "monotonic", "perf_counter"):
            setattr(time, name, lambda: 1e9 - 3600.0 * next(looks))
        return task.work(folder)

    folder = bench.new()
    end = run(backwards)
    if end.status or end.err:
        bench.blame(task, f"under a clock that jumps back: status {end.status}, {end.err[-500:]!r}")
    bench.finish(task, folder)
    return {"went on to the same bytes": 1}


def everything(bench, kills, url, few=False):
    """All faults of all tasks.  kills: how many in all.  few: hardly anything beside kills.  Returns the result."""
    zo = Training("vanilla ZO", "--bp-tail", "0", epochs=10)
    bench.know(zo)
    tasks = (Training("training, INT8", "--bp-tail", "2", epochs=6),
             Training("training, FP32", "--bp-tail", "1", "--precision", "fp32", epochs=5),
             Training("checkpointing", "--bp-tail", "1", epochs=3, save_every=-1),
             Download(url), GoldenExport(), RunExport(bench.undisturbed[zo.name] / "run"))
    total, result = sum(KILLS.values()), {}
    for task in tasks:
        bench.know(task)
        share = -(-kills * KILLS[task.name] // total)
        found = result[task.name] = {"seconds undisturbed": round(bench.seconds[task.name], 3)}
        found["kill -9"] = kill(bench, task, share)
        found["Ctrl-C"] = interrupt(bench, task, 1 if few else 6)
        found["full disk"] = fill(bench, task, 1 if few else 5)
        if not few:
            found["read-only"] = forbid(bench, task)
            found["two at once"] = two_at_once(bench, task)
        if isinstance(task, Training) and not few:
            found["clock jumping back"] = clock_back(bench, task)
        print(f"{task.name}: {found}", flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.trust.faults", description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", type=pathlib.Path, help="where folders are made and removed (default: temporary)")
    parser.add_argument("--few", action="store_true", help="hardly anything beside the kills, for the test suite")
    parser.add_argument("--no-result", action="store_true", help="leave experiments/results as it is")
    options = parser.parse_args()
    os.environ.update(ZO_NUMPY_THREADS="1", no_proxy="127.0.0.1")   # children are forked, which threads do not survive
    with panels(1, (1, 1)):   # imports what children would spend their lives on
        pass
    started = time.monotonic()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    mirror = Child(lambda: serve(server))
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        os.chmod(scratch, 0o755)   # another user looks into it
        bench = Bench(pathlib.Path(scratch), options.seed)
        try:
            result = everything(bench, options.kills, f"http://127.0.0.1:{server.server_port}", options.few)
        finally:
            mirror.signal_at(0, signal.SIGKILL)
            mirror.end()
    kills = sum(found["kill -9"]["kills"] for found in result.values())
    seconds = round(time.monotonic() - started)
    print(f"{kills} kills and the other faults in {seconds} s: {len(bench.problems)} problems")
    if not options.no_result:
        save_result("trust_faults", {"seed": options.seed, "kills": kills, "seconds": seconds, "faults": result,
                                     "problems": bench.problems})
    return 1 if bench.problems else 0


if __name__ == "__main__":
    sys.exit(main())
