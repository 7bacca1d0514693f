"""What every experiment shares: where results go and what stands beside the numbers.

`ZO_NUMPY_QUICK=1` makes every script quick: a little of the data and few repetitions, to see that everything works. Its
results say "quick": true and go to runs/quick/results, never beside the committed ones. `ZO_NUMPY_RESULTS=FOLDER`
is another folder for results, which begins empty: everything is measured again.
"""
import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess

from zo_numpy import system
from zo_numpy.files import write_atomically
from zo_numpy.run.config import option

LOCK_SECONDS = 600
ROW_DEPTH, LINE = 3, 119   # of a result as text: a file, a table, a row; characters
ROOT = pathlib.Path(__file__).resolve().parent.parent
QUICK = os.environ.get("ZO_NUMPY_QUICK", "0") not in ("", "0")
COMMITTED = ROOT / "experiments" / "results"
RESULTS = pathlib.Path(os.environ.get("ZO_NUMPY_RESULTS") or (ROOT / "runs/quick/results" if QUICK else COMMITTED))
PACKAGES = ("numpy", "scipy", "h5py", "matplotlib")


def as_words(options):
    """{option: value} as the command line takes it: ["--seed", "0"], ["--zo-frozen"] of True, "192,224" of a tuple."""
    words = []
    for name, value in options.items():
        words.append(option(name))
        if value is not True:
            words.append(",".join(map(str, value)) if isinstance(value, tuple) else str(value))
    return words


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
    """The commit of the working tree, with a + after it if the tree has changes; None outside a clone."""
    def git(*words):
        try:
            return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True).stdout.strip()
        except OSError:   # no git here
            return ""

    head = git("rev-parse", "--short=12", "HEAD")
    return (head + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")) or None


def versions():
    """{package: version} of those that are installed."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def provenance():
    """What a number depends on beside the code: package versions, processor, cores, commit."""
    return {"python": platform.python_version(), **versions(), "processor": processor(),
            "cores": system.processors(), "commit": commit()}


@contextlib.contextmanager
def changing(name):
    """Holds results/NAME.json for whoever reads it, adds to it and writes it back; others wait LOCK_SECONDS at most.

    Raises TimeoutError if they waited in vain.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open(RESULTS / f".{name}.lock", "w") as file:
        if system.lock(file, LOCK_SECONDS, name=RESULTS / f"{name}.json") is False:
            raise TimeoutError(f"another process has kept the lock of {RESULTS / name}.json for {LOCK_SECONDS} s: end "
                               "it, then give the same command again")
        yield


def read_result(name):
    """The mapping in results/NAME.json; {} if that has not been run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def save_result(name, result):
    """Writes results/NAME.json, with its provenance, and returns the path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path, quick = RESULTS / f"{name}.json", {"quick": True} if QUICK else {}
    write_atomically(path, (as_text({**quick, **result, "made_with": provenance()}) + "\n").encode())
    return path


def as_text(value):
    """A value as JSON whose differences can be read: the numbers of a curve are one line.

    A file, its tables and their rows have a line for each thing that they hold; what is deeper is one line. So is
    whatever stands in a list, and what fits a line anyway.
    """
    return lines_of(json.loads(json.dumps(value)))   # tuples become lists, keys become words


def lines_of(value, depth=0):
    """The text of a value that JSON has.  depth: how many mappings and lists stand around it."""
    line = json.dumps(value)
    if depth >= ROW_DEPTH or depth + len(line) <= LINE or not is_nested(value):
        return line
    if isinstance(value, list):
        return "[\n" + ",\n".join(" " * (depth + 1) + json.dumps(item) for item in value) + "\n" + " " * depth + "]"
    items = [" " * (depth + 1) + f"{json.dumps(key)}: {lines_of(item, depth + 1)}" for key, item in value.items()]
    return "{\n" + ",\n".join(items) + "\n" + " " * depth + "}"


def is_nested(value):
    """Whether it is a mapping, or a list that holds more than numbers and words."""
    return isinstance(value, dict) or isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)
