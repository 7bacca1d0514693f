"""What every experiment shares: where results go and what stands beside the numbers."""
import contextlib
import json
import os
import pathlib
import platform
import subprocess

import numpy as np

from zo_numpy.files import write_atomically

try:
    import fcntl
except ImportError:   # Windows: no advisory locks
    fcntl = None   # type: ignore[assignment]

RESULTS = pathlib.Path(__file__).resolve().parent / "results"


def processor():
    """The processor's name, where the system tells it."""
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit():
    """The commit of the working tree, with a + behind it if the tree has changes; None outside a clone."""
    def git(*words):
        return subprocess.run(["git", "-C", str(RESULTS), *words], capture_output=True, text=True).stdout.strip()

    head = git("rev-parse", "--short=12", "HEAD")
    return (head + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")) or None


def provenance():
    """What a number depends on beside the code: package versions, processor, cores, commit."""
    return {"python": platform.python_version(), "numpy": np.__version__, "processor": processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "commit": commit()}


@contextlib.contextmanager
def changing(name):
    """Holds results/NAME.json for whoever reads it, adds to it and writes it back; others wait."""
    RESULTS.mkdir(exist_ok=True)
    with open(RESULTS / f".{name}.lock", "w") as lock:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def save_result(name, result):
    """Writes results/NAME.json, with its provenance, and returns the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    write_atomically(path, (json.dumps({**result, "made_with": provenance()}, indent=1) + "\n").encode())
    return path
