"""The package as pip installs it: an empty environment elsewhere, and each command in it, from another folder.

    python -m tests.trust.installed [--keep DIR]

First on the path are packages called `datasets` and `experiments` that nobody may import. Needs a network, or what pip
has kept. Exit status 1 if anything was not as it must be.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "zo_numpy", "datasets")
TRACE = ROOT / "tests" / "golden" / "traces" / "narrow-lenet-int8-k1"
TRAINED = "train --data mnist-subset --model narrow-lenet --epochs 1 --batch-size 100 --out run"
WORKS = {   # a command: what it says
    "--help": "zo-numpy",
    "tour": "g = ",
    "memory --batch-size 8 --measure": "measured",
    TRAINED: "test accuracy",
    f"{TRAINED} --resume": "test accuracy",
    "evaluate run": "one at a time",
    "predict run digit.npy": "digit.npy: ",
    "export run": "wrote run/weights.npz",
    "export run --format c": "wrote run/weights.h",
    "golden export trace --data mnist-subset --model narrow-lenet --steps 1": "wrote trace",
    f"golden diff {TRACE} {TRACE}": "0 differ",
    "bench --help": "--json",
}
NEEDS_A_CLONE = ("train --data mnist-subset --bp-tail all", "golden check", "golden update")


def install(folder):
    """Makes an environment in the folder.  Returns its command."""
    environment, source = folder / "environment", folder / "source"
    source.mkdir()
    for name in SOURCES:   # building leaves files in the source
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name, **{"ignore": shutil.ignore_patterns("__pycache__", "cache")}
             if copy is shutil.copytree else {})
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run([environment / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", source], check=True)
    shutil.rmtree(source)
    return environment / "bin" / "zo-numpy"


def strangers(folder):
    """Packages that nobody may import."""
    for name in ("datasets", "experiments"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise SystemExit('a stranger was imported')\n")
    return folder


def problems(command, elsewhere, path):
    """Runs each command in the folder `elsewhere`; yields what is wrong."""
    elsewhere.mkdir()
    np.save(elsewhere / "digit.npy", np.zeros((28, 28), np.uint8))
    variables = {**os.environ, "PYTHONPATH": str(path)}
    for words in (*WORKS, *NEEDS_A_CLONE):
        done = subprocess.run([command, *words.split()], cwd=elsewhere, env=variables, text=True, capture_output=True)
        if words in WORKS and (done.returncode or WORKS[words] not in done.stdout):
            yield f"zo-numpy {words}: exit status {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}"
        if words not in WORKS and (done.returncode != 2 or done.stderr.count("\n") != 1 or "clone" not in done.stderr):
            yield f"zo-numpy {words} does not say in a line that it needs a clone: {done.stderr[-300:]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="make it in this new folder, and keep it")
    keep, started = parser.parse_args().keep, time.monotonic()
    folder = keep or pathlib.Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    try:
        found = list(problems(install(folder.resolve()), folder / "elsewhere", strangers(folder.resolve() / "path")))
    finally:
        if not keep:
            shutil.rmtree(folder)
    print(*found or [f"installed: {len(WORKS)} commands work, {len(NEEDS_A_CLONE)} say that they need a clone "
                     f"({time.monotonic() - started:.0f} s)"], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
