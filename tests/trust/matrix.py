"""INT8 digests over all that must not matter: Pythons, NumPys, threads, tiles, SIMD, hash seeds, locales, time zones.

    python -m tests.trust.matrix [--cache DIR] [--no-result]

Each cell is a child process (digests.py) that makes a short run of every method; a Python and NumPy also make committed
golden runs again. Environments are made with pip in the cache folder and kept there. What this machine does not have is
printed as "not at hand". Writes experiments/results/trust_matrix.json; exit status 1 if a digest differs.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

from experiments.common import save_result
from zo_numpy.app.beside import ROOT

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
NUMPYS = ("1.26.4", "2.2.6", "newest")
GOLDEN = ("solids-int8-k0", "solids-int8-k3", "subset-int8-k1-coarse", "subset-int8-k2-limit",
          "subset-int8-k0-queries3")
WORTH = {"zo_numpy.tiles.WORTH_A_THREAD": 1}   # or small tiles would not be given to threads
TILES = {
    "one sample": {"zo_numpy.tiles.TILE_BYTES": 1, "zo_numpy.int8.tiled.POINT_TILE_BYTES": 400},
    "odd": {"zo_numpy.tiles.TILE_BYTES": 70_001, "zo_numpy.int8.tiled.POINT_TILE_BYTES": 9_999,
            "zo_numpy.int8.arith.COLUMN_BLOCK": 37, "zo_numpy.int8.arith.WIDENED_BYTES": 4_099,
            "zo_numpy.int8.arith.CHUNK": 601, "zo_numpy.int8.tiled.GRADIENT_BYTES": 399,
            "zo_numpy.int8.tiled.GRADIENT_COLUMNS": 7, "zo_numpy.int8.draws.PIECE": 1_008},
    "all at once": {"zo_numpy.tiles.TILE_BYTES": 1 << 30, "zo_numpy.int8.tiled.POINT_TILE_BYTES": 1 << 30,
                    "zo_numpy.int8.arith.COLUMN_BLOCK": 1 << 24, "zo_numpy.int8.arith.WIDENED_BYTES": 1 << 28,
                    "zo_numpy.int8.arith.CHUNK": 1 << 24, "zo_numpy.int8.tiled.GRADIENT_BYTES": 1 << 30,
                    "zo_numpy.int8.tiled.GRADIENT_COLUMNS": 1 << 24, "zo_numpy.int8.draws.PIECE": 1 << 24},
}


class NotAtHand(Exception):
    """What this machine does not have."""


class Failed(Exception):
    """A cell that is at hand and does not give its digests."""


def cell(python=sys.executable, options=None, **variables):
    """What digests.py says in a child.  variables: of its environment.

    Raises NotAtHand if the system lacks the locale, Failed if the child fails in any other way.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ZO_NUMPY_THREADS": "1", **variables}
    child = subprocess.run([str(python), "-m", "tests.trust.digests", json.dumps(options or {})], cwd=ROOT,
                           text=True, env=environment, capture_output=True, timeout=600)
    if child.returncode:
        last = (child.stderr.strip().splitlines() or [f"status {child.returncode}"])[-1]
        raise (NotAtHand if last.startswith("locale.Error") else Failed)(last)
    return json.loads(child.stdout)


def simd_off(python=sys.executable, options=None):
    """The cell without any of the loops that NumPy dispatches to.  Raises NotAtHand where it has no choice."""
    on = [name for name, state in cell(python, {"methods": []})["simd"].items() if state]
    if not on:
        raise NotAtHand("this NumPy has no loops to choose from on this processor")
    found = cell(python, options, NPY_DISABLE_CPU_FEATURES=" ".join(on))
    if any(found["simd"].values()):
        raise Failed(f"still on: {found['simd']}")
    return found


def interpreter(version):
    """The path of a Python, from PATH or pyenv's folder.  Raises NotAtHand."""
    kept = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
    for path in (*sorted(kept.glob(f"{version}.*/bin/python")), shutil.which(f"python{version}")):
        if path and not subprocess.run([path, "-c", "import venv, ensurepip"], capture_output=True).returncode:
            return path
    raise NotAtHand(f"no Python {version}")


def environment(version, numpy, cache):
    """A Python of that version with that NumPy and nothing else, made once.  Raises NotAtHand."""
    base, folder = interpreter(version), cache / f"python{version}-numpy{numpy}"
    python = folder / "bin" / "python"
    if subprocess.run([python, "-c", "import numpy"], capture_output=True).returncode if python.exists() else True:
        subprocess.run([base, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)
        what = "numpy" if numpy == "newest" else f"numpy=={numpy}"
        made = subprocess.run([python, "-m", "pip", "install", "-q", "--only-binary=:all:", what], capture_output=True,
                              text=True)
        if made.returncode:
            raise NotAtHand(f"NumPy {numpy} for Python {version}: " + re.sub(
                r"\S*://\S*", "", (made.stderr.strip().splitlines() or ["pip failed"])[-1]))
    return python


def axes(cache):
    """(axis, value, a function that gives the cell) of the whole matrix."""
    for version in PYTHONS:
        for numpy in NUMPYS:
            yield "Python and NumPy", f"{version}, {numpy}", lambda v=version, n=numpy: cell(
                environment(v, n, cache), {"golden": GOLDEN})
            yield "Python and NumPy, SIMD off", f"{version}, {numpy}", lambda v=version, n=numpy: simd_off(
                environment(v, n, cache))
    for count in range(1, 9):
        yield "threads", str(count), lambda c=count: cell(options={"patch": WORTH}, ZO_NUMPY_THREADS=str(c))
    for name, sizes in TILES.items():
        for count in ("1", "3"):
            yield "tiles", f"{name}, {count} threads", lambda s=sizes, c=count: cell(
                options={"patch": {**s, **WORTH}}, ZO_NUMPY_THREADS=c)
    for seed in ("0", "1", "4294967295", "random"):
        yield "PYTHONHASHSEED", seed, lambda s=seed: cell(PYTHONHASHSEED=s)
    for name in ("C", "C.UTF-8", "tr_TR.UTF-8", "de_DE.UTF-8"):
        yield "locale", name, lambda n=name: cell(LC_ALL=n)
    for zone in ("UTC", "Pacific/Kiritimati", "America/St_Johns"):
        yield "time zone", zone, lambda z=zone: cell(TZ=z)


def judge(found, expected):
    """How a cell stands to the expected digests, and what made it."""
    differing = [name for name, value in found["digests"].items() if value != expected[name]]
    differing += [f"golden run {name}" for name, what in found["golden"].items() if what]
    state = f"DIFFERS: {', '.join(differing)}" if differing else "equal"
    return {"state": state, "python": found["python"], "numpy": found["numpy"], "compared": len(found["digests"]),
            "golden runs": sum(what is not None for what in found["golden"].values())}


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.trust.matrix", description=__doc__.split("\n\n")[0])
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    parser.add_argument("--cache", type=pathlib.Path, default=home / "zo_numpy-matrix",
                        help="where environments are kept")
    parser.add_argument("--no-result", action="store_true", help="leave experiments/results as it is")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    expected, matrix = cell()["digests"], {}
    for axis, value, make in axes(options.cache):
        try:
            entry = judge(make(), expected)
        except NotAtHand as error:
            entry = {"state": f"not at hand: {error}"}
        except Failed as error:
            entry = {"state": f"DIFFERS: it failed: {error}"}
        matrix.setdefault(axis, {})[value] = entry
        print(f"{axis}: {value}: {entry['state']}"
              + (f" (Python {entry['python']}, NumPy {entry['numpy']})" if "python" in entry else ""), flush=True)
    states = [entry["state"] for cells in matrix.values() for entry in cells.values()]
    counts = {kind: sum(state.startswith(kind) for state in states) for kind in ("equal", "not at hand", "DIFFERS")}
    print(counts)
    if not options.no_result:
        save_result("trust_matrix", {"digests": expected, "cells": counts, "matrix": matrix})
    return 1 if counts["DIFFERS"] else 0


if __name__ == "__main__":
    sys.exit(main())
